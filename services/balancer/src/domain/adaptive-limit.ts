import type { InFlightLimit } from "./backend.js";

const minLimit = 4;
const firstLimit = 32;
/** How many files may wait at a server beyond what it works on, so that it never runs dry. */
const headroom = 4;
/** How much longer than at its best an answer may take before the limit shrinks. */
const tolerance = 1.5;
/** How much of a new limit is taken on at a time. */
const smoothing = 0.2;
/** Answers over which times are averaged. */
const averaged = 20;
/** Answers after which the best time is measured anew, at half the limit. Half, so that what looks like the best under load is less each time. */
const probeEvery = 1_000;
const probeShare = 0.5;
/** What is left of the limit when a file was turned away or lost. */
const backoff = 0.9;

/**
 * How many files may be on their way to one server, learned from how long its answers take: the limit grows while they take about as long as
 * at their best, and shrinks as they take longer, because then files only queue there. The gradient of Netflix's concurrency-limits
 * (https://github.com/Netflix/concurrency-limits, `GradientLimit`, with its probing for the best time); a file turned away or lost shrinks
 * it at once by a tenth, the multiplicative decrease of D. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion
 * Avoidance in Computer Networks", 1989.
 */
export class AdaptiveLimit implements InFlightLimit {
  #limit: number;
  #averageMs = 0;
  /** `undefined` while it is measured. */
  #bestMs: number | undefined;
  /** Answers since the best time was last forgotten. */
  #answers = 0;

  /** @param max beyond which the limit never grows, in files */
  constructor(readonly max: number) {
    this.#limit = Math.min(firstLimit, max);
  }

  /** In whole files. */
  get files(): number {
    return Math.floor(this.#limit);
  }

  /**
   * A file was stored.
   *
   * @param tookMs from when it was sent until it was answered
   * @param inFlight files on their way to the server, this one included
   */
  answered(tookMs: number | undefined, inFlight: number): void {
    if (tookMs === undefined) return;
    // What was sent before the limit was cut has waited in a longer queue.
    if (this.#bestMs === undefined && inFlight > this.#limit) return;
    this.#answers += 1;
    this.#averageMs += (Math.max(tookMs, 0.1) - this.#averageMs) / Math.min(this.#answers, averaged);
    if (this.#answers < averaged) return;
    this.#bestMs = Math.min(this.#bestMs ?? this.#averageMs, this.#averageMs);
    // A limit that is not made use of says nothing, and must not change.
    if (inFlight < this.#limit / 2) return;
    if (this.#answers >= probeEvery) {
      this.#probe();
      return;
    }
    const gradient = Math.max(0.5, Math.min(1, (tolerance * this.#bestMs) / this.#averageMs));
    this.#become(this.#limit * (1 - smoothing) + (this.#limit * gradient + headroom) * smoothing);
  }

  /** A file was turned away, or its answer was lost. */
  failed(): void {
    this.#become(this.#limit * backoff);
  }

  overloaded(): void {
    // How long answers take says it earlier.
  }

  #probe(): void {
    this.#become(this.#limit * probeShare);
    this.#bestMs = undefined;
    this.#averageMs = 0;
    this.#answers = 0;
  }

  #become(limit: number): void {
    this.#limit = Math.max(Math.min(minLimit, this.max), Math.min(this.max, limit));
  }
}
