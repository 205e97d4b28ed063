/** Numbers in one block. */
const blockLength = 4_096;

/** A first-in, first-out list of request numbers that takes 8 bytes for each of them, however many there are. */
export class NumberFifo {
  readonly #blocks: BigUint64Array[] = [];
  /** Places in the first block that are used up, and in the last one that are filled. */
  #head = 0;
  #tail = blockLength;

  get length(): number {
    return this.#blocks.length * blockLength - this.#head - (blockLength - this.#tail);
  }

  push(number: bigint): void {
    if (this.#tail === blockLength) {
      this.#blocks.push(new BigUint64Array(blockLength));
      this.#tail = 0;
    }
    (this.#blocks.at(-1) as BigUint64Array)[this.#tail++] = number;
  }

  shift(): bigint | undefined {
    if (this.length === 0) return undefined;
    const number = this.#blocks[0]?.[this.#head++];
    if (this.#head === blockLength) {
      this.#blocks.shift();
      this.#head = 0;
    }
    return number;
  }
}
