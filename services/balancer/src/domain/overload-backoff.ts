import type { InFlightLimit } from "./backend.js";

/** Below this the limit does not shrink, in files. */
const least = 16;

/**
 * How many files may be on their way to a server at a time, where that is not learned from how long they take: all that are allowed, until the server says that it is
 * overloaded. Then half as many, and one more again with each answer. So a server that is overloaded again and again has about as many files on
 * their way as it finishes in between, and at the end nobody waits for a long line before it, while the others are idle. Multiplicative decrease for
 * an explicit sign of congestion, as TCP does for ECN (RFC 3168), and growth as in its slow start (RFC 5681).
 */
export class OverloadBackoff implements InFlightLimit {
  #limit: number;

  /** @param max beyond which the limit never grows, in files */
  constructor(readonly max: number) {
    this.#limit = max;
  }

  get files(): number {
    return this.#limit;
  }

  answered(): void {
    if (this.#limit < this.max) this.#limit += 1;
  }

  failed(): void {
    // What failed says nothing of how much the server takes.
  }

  overloaded(): void {
    this.#limit = Math.max(Math.min(least, this.max), Math.floor(this.#limit / 2));
  }
}
