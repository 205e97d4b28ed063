/** Over how long a time speeds are averaged, in milliseconds: what was longer ago counts for a third and less. */
const memoryMs = 5_000;

/**
 * How quickly a line moves, from what leaves it: what went out over the time in which something waited, both exponentially forgotten. While nothing waits, time does not count: the line is as quick as
 * it was, not as slow as what then comes. Time comes with each call, in milliseconds.
 */
export class LineMeter {
  #amount = 0;
  #busyMs = 0;
  /** Until when time has been counted. */
  #untilMs = 0;
  #waiting = false;

  /** Something stands in line, where it was empty. */
  waits(nowMs: number): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#untilMs = nowMs;
  }

  /** Something has left the line. @param left whether anything is left in it */
  took(nowMs: number, amount: number, left: boolean): void {
    this.#advance(nowMs);
    this.#amount += amount;
    this.#waiting = left;
  }

  /** How long it takes until so much has left the line, in milliseconds; `undefined` while that cannot be told. */
  untilGoneMs(nowMs: number, amount: number): number | undefined {
    this.#advance(nowMs);
    if (amount === 0) return 0;
    return this.#amount > 0 && this.#busyMs > 0 ? (amount * this.#busyMs) / this.#amount : undefined;
  }

  #advance(nowMs: number): void {
    // A clock that is set back makes nothing undone.
    const elapsedMs = this.#waiting ? Math.max(0, nowMs - this.#untilMs) : 0;
    this.#untilMs = nowMs;
    if (elapsedMs === 0) return;
    const kept = Math.exp(-elapsedMs / memoryMs);
    this.#amount *= kept;
    this.#busyMs = this.#busyMs * kept + elapsedMs;
  }
}
