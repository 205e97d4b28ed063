import type { Policy, Standings } from "./policy.js";
import { SharedList } from "./shared-list.js";
import { type Slot, SlotHeap } from "./slot-heap.js";

/** The members of one weight. */
interface WeightClass {
  readonly weight: number;
  readonly heap: SlotHeap;
}

/** How far the sum of the weights may fall before what members are owed is cut down to the new one. */
const shrinkBeforeCut = 1 / 8;
/** Beyond this, whole numbers are near the end of what a double holds exactly. */
const maxExact = 2 ** 50;

/** What a member's current value can be told from at any time: `rate * grown + base`. */
interface Noted {
  readonly name: string;
  /** Its weight; 0 while it is not in the choice. */
  readonly rate: number;
  readonly base: number;
}

/**
 * Smooth weighted round robin, as nginx does it (https://github.com/nginx/nginx/commit/52327e0627f49dbda1e8db695e63a4b0af4448b1):
 * every available member's current value grows by its weight, the highest one is picked and pays the sum of the weights. Over any
 * `sum` picks from a stable pool each member is picked exactly `weight` times, and never in a row where it can be avoided:
 * weights 5, 1, 1 give `a a b a c a a`. Equals are picked in the order in which they were first offered.
 *
 * Members that are not available are left as they are: they neither save up turns nor lose any. Newcomers begin in the middle.
 *
 * The sequence is nginx's, without its scan over all members: current values of members with the same weight grow alike, so that
 * their order changes only when one of them is picked. Each weight has a heap of its members, and a pick compares the tops. It costs
 * O(weights + log members), and allocates nothing. So does noting how all stand, but for those that have changed since that was last done.
 */
export class SmoothWeightedRoundRobin implements Policy {
  readonly #costOf: (sizeBytes: number) => number;
  readonly #slots = new Map<string, Slot>();
  readonly #classes: WeightClass[] = [];
  readonly #classOf = new Map<number, WeightClass>();
  /** A member's current value is `weight * grown + base`, so that growing is one addition for all of them. */
  #grown = 0;
  /** Sum of the weights of all that are in the choice. */
  #total = 0;
  /** The largest sum since members were last cut down. */
  #cutTotal = 0;
  /** The largest cost of late: with it a round is as long as it can be. */
  #largestCost = 1;
  #nextOrder = 0;
  readonly #noted = new SharedList<Noted | undefined>();
  readonly #changed: Slot[] = [];
  readonly #freeIndices: number[] = [];

  /** @param costOf what a file of so many bytes costs, a whole number from 1. Without it, every file costs the same. */
  constructor(costOf: (sizeBytes: number) => number = () => 1) {
    this.#costOf = costOf;
  }

  offer(name: string, weight: number): void {
    if (!Number.isSafeInteger(weight) || weight < 1) {
      throw new RangeError(`the weight of ${name} is ${weight}; expected a whole number from 1`);
    }
    let slot = this.#slots.get(name);
    if (slot === undefined) {
      slot = this.#newSlot(name, weight);
    } else if (slot.position >= 0) {
      if (slot.weight === weight) return;
      this.#takeOut(slot);
    }
    this.#total += weight;
    const limit = this.#total * this.#largestCost;
    slot.weight = weight;
    slot.base = clamp(slot.base, limit) - weight * this.#grown;
    this.#classFor(weight).heap.push(slot);
    this.#note(slot);
    this.#totalChanged();
  }

  withdraw(name: string): void {
    const slot = this.#slots.get(name);
    if (slot === undefined || slot.position < 0) return;
    this.#takeOut(slot);
    this.#totalChanged();
  }

  forget(name: string): void {
    this.withdraw(name);
    const slot = this.#slots.get(name);
    if (slot === undefined) return;
    this.#slots.delete(name);
    this.#noteChanged();
    this.#noted.set(slot.index, undefined);
    this.#freeIndices.push(slot.index);
  }

  pick(sizeBytes = 0): string | undefined {
    const cost = this.#costOf(sizeBytes);
    const grown = this.#grown + cost;
    let best: Slot | undefined;
    let bestCurrent = 0;
    for (const { weight, heap } of this.#classes) {
      const top = heap.top as Slot;
      const current = weight * grown + top.base;
      if (best === undefined || current > bestCurrent || (current === bestCurrent && top.order < best.order)) {
        best = top;
        bestCurrent = current;
      }
    }
    if (best === undefined) return undefined;
    this.#largestCost = Math.max(cost, this.#largestCost * 0.999);
    this.#charge(best, cost);
    return best.name;
  }

  correct(name: string, assumedBytes: number, actualBytes: number): void {
    const slot = this.#slots.get(name);
    const more = this.#costOf(actualBytes) - this.#costOf(assumedBytes);
    if (more !== 0 && slot !== undefined && slot.position >= 0) this.#charge(slot, more);
  }

  /** The current value of each member, which is its weight higher when it comes to the next pick. */
  standings(): Standings {
    this.#noteChanged();
    const noted = this.#noted.share();
    const grown = this.#grown;
    return () => {
      const found = noted.flat().filter((member) => member !== undefined);
      return new Map(found.map(({ name, rate, base }) => [name, rate * grown + base]));
    };
  }

  #newSlot(name: string, weight: number): Slot {
    const index = this.#freeIndices.pop() ?? this.#slots.size;
    const slot = { name, order: this.#nextOrder, weight, base: 0, index, changed: false, position: -1 };
    this.#nextOrder += 1;
    this.#slots.set(name, slot);
    return slot;
  }

  /** How a member stands has changed, beside what all have grown by. */
  #note(slot: Slot): void {
    if (slot.changed) return;
    slot.changed = true;
    this.#changed.push(slot);
  }

  #noteChanged(): void {
    // By index, so that the list has no holes.
    if (this.#changed.length > 1) this.#changed.sort((a, b) => a.index - b.index);
    for (const slot of this.#changed) {
      const rate = slot.position < 0 ? 0 : slot.weight;
      this.#noted.set(slot.index, { name: slot.name, rate, base: slot.base });
      slot.changed = false;
    }
    this.#changed.length = 0;
  }

  /** All grow by their weights, and one pays for all. */
  #charge(slot: Slot, cost: number): void {
    this.#grown += cost;
    slot.base -= this.#total * cost;
    this.#note(slot);
    this.#classFor(slot.weight).heap.moved(slot);
    if (this.#grown * this.#total > maxExact) this.#settle(Number.POSITIVE_INFINITY);
  }

  /** Takes a slot out of its class; its `base` is then its current value. */
  #takeOut(slot: Slot): void {
    const found = this.#classFor(slot.weight);
    found.heap.remove(slot);
    if (found.heap.top === undefined) {
      this.#classOf.delete(slot.weight);
      this.#classes.splice(this.#classes.indexOf(found), 1);
    }
    slot.base += slot.weight * this.#grown;
    this.#note(slot);
    this.#total -= slot.weight;
  }

  /**
   * In a stable pool nobody is ever more than a round ahead or behind. Who is comes from a larger pool or from other weights, and would
   * be picked, or passed over, for as long as the old round was.
   */
  #totalChanged(): void {
    this.#cutTotal = Math.max(this.#cutTotal, this.#total);
    if (this.#total > this.#cutTotal * (1 - shrinkBeforeCut)) return;
    this.#cutTotal = this.#total;
    this.#settle(this.#total * this.#largestCost);
  }

  /** Writes what has grown into each member's `base`, cut to the limit. */
  #settle(limit: number): void {
    const grown = this.#grown;
    for (const { heap } of this.#classes) heap.rebase(({ base, weight }) => clamp(base + weight * grown, limit));
    this.#grown = 0;
    for (const slot of this.#slots.values()) if (slot.position >= 0) this.#note(slot);
  }

  #classFor(weight: number): WeightClass {
    let found = this.#classOf.get(weight);
    if (found === undefined) {
      found = { weight, heap: new SlotHeap() };
      this.#classOf.set(weight, found);
      this.#classes.push(found);
    }
    return found;
  }
}

function clamp(value: number, limit: number): number {
  return Math.max(-limit, Math.min(limit, value));
}
