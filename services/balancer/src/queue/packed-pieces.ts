const firstRoom = 64;

/** Where the pieces of a file lie and what their CRC-32C is, in 12 to 24 bytes for each: a file of a terabyte has four million. */
export class PackedPieces {
  #ends = new Float64Array(firstRoom);
  #checksums = new Uint32Array(firstRoom);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Adds the next piece. */
  add(length: number, crc32c: number): void {
    if (this.#count === this.#ends.length) {
      this.#ends = grown(this.#ends, new Float64Array(2 * this.#count));
      this.#checksums = grown(this.#checksums, new Uint32Array(2 * this.#count));
    }
    this.#ends[this.#count] = this.#endOf(this.#count - 1) + length;
    this.#checksums[this.#count] = crc32c;
    this.#count++;
  }

  get(index: number): { readonly offset: number; readonly length: number; readonly crc32c: number } {
    const offset = this.#endOf(index - 1);
    return { offset, length: this.#endOf(index) - offset, crc32c: this.#checksums[index] as number };
  }

  #endOf(index: number): number {
    return this.#ends[index] ?? 0;
  }
}

function grown<Numbers extends Float64Array | Uint32Array>(from: Numbers, to: Numbers): Numbers {
  to.set(from);
  return to;
}
