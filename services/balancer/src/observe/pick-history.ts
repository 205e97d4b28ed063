import type { PickEnd, PickRecord } from "../domain/pick.js";
import type { PickLog, PickMemory } from "../ports/pick-log.js";

/** The last choices, in memory: the oldest goes when there are too many. */
export class PickHistory implements PickLog, PickMemory {
  readonly #maxPicks: number;
  /** In the order of the choices; a ring that is full begins at `#head`. */
  readonly #ring: (PickRecord | undefined)[] = [];
  #head = 0;
  #count = 0;

  /** @param maxPicks how many choices are kept, from 1 */
  constructor(maxPicks: number) {
    this.#maxPicks = maxPicks;
  }

  get count(): number {
    return this.#count;
  }

  get sinceMs(): number | undefined {
    return this.#ring[this.#head]?.pool.atMs;
  }

  picked(pick: PickRecord): void {
    if (this.#count === this.#maxPicks) this.#drop();
    this.#ring[(this.#head + this.#count) % this.#maxPicks] = pick;
    this.#count += 1;
  }

  /** How it came out is the upload's to know. */
  ended(_end: PickEnd): void {}

  find(requestNumber: bigint): readonly PickRecord[] {
    const found: PickRecord[] = [];
    for (let at = 0; at < this.#count; at += 1) {
      const pick = this.#ring[(this.#head + at) % this.#maxPicks];
      if (pick?.requestNumber === requestNumber) found.push(pick);
    }
    return found;
  }

  #drop(): void {
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#maxPicks;
    this.#count -= 1;
  }
}
