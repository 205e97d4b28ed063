/** Chance that can be had again: the same seed gives the same numbers. (Mulberry32.) */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, not including, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  pick<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.between(0, choices.length - 1)] ?? choices[0];
  }

  /** The length of a file, in bytes: half are below the median, few are large, some are empty. */
  fileBytes(medianBytes: number, maxBytes: number): number {
    if (this.next() < 0.02) return 0;
    const normal = Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
    return Math.min(maxBytes, Math.floor(medianBytes * Math.exp(2.2 * normal)));
  }

  /** Bytes that do not repeat within any file here, and differ from those of every other file. */
  bytes(length: number): Buffer {
    const words = new Uint32Array(Math.ceil(length / 4));
    let state = this.between(1, 2 ** 31);
    for (let at = 0; at < words.length; at++) {
      // Xorshift32: good enough to tell files and places apart, and fast.
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[at] = state;
    }
    return Buffer.from(words.buffer, 0, length);
  }
}
