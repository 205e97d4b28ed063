/** What one upload counts for, at least and at most, in bytes: a small file costs more than its bytes, and a huge one is not held back for ever. */
const leastCostBytes = 16 * 1024;
const mostCostBytes = 16 * 1024 * 1024;
/** What a lane may send in one round, in bytes. */
export const quantumBytes = 1024 * 1024;

/** What an upload of this size counts for. */
export function fairCost(sizeBytes: number): number {
  return Math.max(leastCostBytes, Math.min(mostCostBytes, sizeBytes));
}

/**
 * Whose turn it is among lanes (clients) that each have things waiting: deficit round robin, by M. Shreedhar and G. Varghese, 'Efficient Fair
 * Queuing using Deficit Round Robin' (SIGCOMM 1995). The lanes are visited in turn; each gets a quantum per visit, and sends while what it has
 * saved up pays for its first upload. So lanes that always have something waiting send the same number of bytes, whatever the sizes of their
 * files, and one with a single small file waits for at most a quantum of each of the others.
 */
export class DeficitRoundRobin<Lane> {
  /** What each lane has saved up; in the order of the round. */
  readonly #saved = new Map<Lane, number>();

  /** A lane has something waiting. */
  join(lane: Lane): void {
    if (!this.#saved.has(lane)) this.#saved.set(lane, quantumBytes);
  }

  /** A lane has nothing waiting any more. What it had saved up is gone. */
  leave(lane: Lane): void {
    this.#saved.delete(lane);
  }

  /**
   * The lane whose first upload goes out next; it is charged for it.
   *
   * @param costOf what the first upload of a lane counts for, see `fairCost`
   */
  next(costOf: (lane: Lane) => number): Lane | undefined {
    for (;;) {
      const [first] = this.#saved;
      if (!first) return undefined;
      const [lane, saved] = first;
      const cost = costOf(lane);
      // Alone, it needs to wait for nobody.
      if (cost <= saved || this.#saved.size === 1) {
        this.#saved.set(lane, Math.max(0, saved - cost));
        return lane;
      }
      this.#saved.delete(lane);
      this.#saved.set(lane, saved + quantumBytes);
    }
  }
}
