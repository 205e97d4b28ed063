import type { Delivered } from "./learned-weight.js";

/** Sums up what one server delivers. Every change is told with the time of it. */
export class DeliveryMeter {
  #sinceMs: number;
  #changedMs: number;
  #loadBytes = 0;
  #overloaded = false;
  #bytes = 0;
  #byteMs = 0;
  #overloadedMs = 0;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
    this.#changedMs = nowMs;
  }

  /** How many bytes are on their way to it from now on, and whether it is overloaded. */
  changed(nowMs: number, loadBytes: number, overloaded: boolean): void {
    this.#advance(nowMs);
    this.#loadBytes = loadBytes;
    this.#overloaded = overloaded;
  }

  /** It has stored a file. */
  stored(bytes: number): void {
    this.#bytes += bytes;
  }

  /** What was seen since this was last asked. */
  take(nowMs: number): Delivered {
    this.#advance(nowMs);
    const seen = {
      bytes: this.#bytes,
      byteMs: this.#byteMs,
      overloadedMs: this.#overloadedMs,
      elapsedMs: Math.max(0, nowMs - this.#sinceMs),
    };
    this.#sinceMs = nowMs;
    this.#bytes = 0;
    this.#byteMs = 0;
    this.#overloadedMs = 0;
    return seen;
  }

  #advance(nowMs: number): void {
    // A clock that is set back makes nothing undone.
    const elapsedMs = Math.max(0, nowMs - this.#changedMs);
    this.#byteMs += elapsedMs * this.#loadBytes;
    if (this.#overloaded) this.#overloadedMs += elapsedMs;
    this.#changedMs = nowMs;
  }
}
