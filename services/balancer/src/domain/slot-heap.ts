/** What a `SlotHeap` holds. */
export interface Slot {
  readonly name: string;
  /** Its place among equals: lower ones come first. */
  readonly order: number;
  weight: number;
  /** What is compared; see `SmoothWeightedRoundRobin`. */
  base: number;
  /** Where its standing is noted, and whether that has changed since. */
  readonly index: number;
  changed: boolean;
  /** Its place in the heap; kept by the heap. -1 while it is in none. */
  position: number;
}

/** A binary heap of slots, the one with the highest `base` on top. Knows where each is, so that any can be taken out. */
export class SlotHeap {
  readonly #slots: Slot[] = [];

  get top(): Slot | undefined {
    return this.#slots[0];
  }

  push(slot: Slot): void {
    this.#slots.push(slot);
    this.#rise(slot, this.#slots.length - 1);
  }

  remove(slot: Slot): void {
    const { position } = slot;
    const last = this.#slots.pop();
    slot.position = -1;
    if (last === undefined || last === slot) return;
    this.#put(last, position);
    this.moved(last);
  }

  /** A slot's `base` has changed. */
  moved(slot: Slot): void {
    this.#rise(slot, slot.position);
    this.#sink(slot, slot.position);
  }

  /** Gives every slot a new `base`. */
  rebase(newBase: (slot: Slot) => number): void {
    for (const slot of this.#slots) slot.base = newBase(slot);
    for (let at = this.#slots.length >> 1; at >= 0; at--) {
      const slot = this.#slots[at];
      if (slot) this.#sink(slot, at);
    }
  }

  #rise(slot: Slot, from: number): void {
    let at = from;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = this.#slots[above] as Slot;
      if (!isBefore(slot, parent)) break;
      this.#put(parent, at);
      at = above;
    }
    this.#put(slot, at);
  }

  #sink(slot: Slot, from: number): void {
    const slots = this.#slots;
    let at = from;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= slots.length) break;
      let child = slots[below] as Slot;
      const right = slots[below + 1];
      if (right !== undefined && isBefore(right, child)) {
        below += 1;
        child = right;
      }
      if (!isBefore(child, slot)) break;
      this.#put(child, at);
      at = below;
    }
    this.#put(slot, at);
  }

  #put(slot: Slot, position: number): void {
    this.#slots[position] = slot;
    slot.position = position;
  }
}

function isBefore(a: Slot, b: Slot): boolean {
  return a.base > b.base || (a.base === b.base && a.order < b.order);
}
