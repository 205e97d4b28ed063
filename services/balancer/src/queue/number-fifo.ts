/** Numbers in one block. */
const blockLength = 4_096;

interface Block {
  readonly numbers: BigUint64Array;
  readonly costs: Uint32Array;
}

/** A first-in, first-out list of request numbers, each with a cost, that takes 12 bytes for each of them, however many there are. */
export class NumberFifo {
  readonly #blocks: Block[] = [];
  /** Places in the first block that are used up, and in the last one that are filled. */
  #head = 0;
  #tail = blockLength;

  get length(): number {
    return this.#blocks.length * blockLength - this.#head - (blockLength - this.#tail);
  }

  /** The cost of the first one; 0 where there is none. */
  get firstCost(): number {
    return this.length === 0 ? 0 : (this.#blocks[0]?.costs[this.#head] ?? 0);
  }

  /** @param cost a whole number below 2^32 */
  push(number: bigint, cost = 0): void {
    if (this.#tail === blockLength) {
      this.#blocks.push({ numbers: new BigUint64Array(blockLength), costs: new Uint32Array(blockLength) });
      this.#tail = 0;
    }
    const block = this.#blocks.at(-1) as Block;
    block.numbers[this.#tail] = number;
    block.costs[this.#tail++] = cost;
  }

  shift(): bigint | undefined {
    if (this.length === 0) return undefined;
    const number = this.#blocks[0]?.numbers[this.#head++];
    if (this.#head === blockLength) {
      this.#blocks.shift();
      this.#head = 0;
    }
    return number;
  }
}
