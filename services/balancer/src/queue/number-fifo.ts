/** Numbers in the first block, and at most in one: a short list takes little, a long one has few blocks. */
const firstBlockLength = 16;
const lastBlockLength = 4_096;

interface Block {
  readonly numbers: BigUint64Array;
  readonly costs: Uint32Array;
}

/** A first-in, first-out list of request numbers, each with a cost, that takes 12 bytes for each of them, however many there are. */
export class NumberFifo {
  readonly #blocks: Block[] = [];
  /** Places in the first block that are used up, and in the last one that are filled. */
  #head = 0;
  #tail = 0;
  #length = 0;
  #cost = 0;

  get length(): number {
    return this.#length;
  }

  /** The sum of all costs. */
  get cost(): number {
    return this.#cost;
  }

  /** What stands before a number, and its own cost; `undefined` where it is not in the list. Takes about a millisecond for each million. */
  before(number: bigint): { readonly files: number; readonly costBytes: number; readonly cost: number } | undefined {
    let files = 0;
    let costBytes = 0;
    for (const [index, { numbers, costs }] of this.#blocks.entries()) {
      const from = index === 0 ? this.#head : 0;
      const until = index === this.#blocks.length - 1 ? this.#tail : numbers.length;
      const at = numbers.subarray(from, until).indexOf(number);
      for (const cost of costs.subarray(from, at < 0 ? until : from + at)) costBytes += cost;
      if (at >= 0) return { files: files + at, costBytes, cost: costs[from + at] ?? 0 };
      files += until - from;
    }
    return undefined;
  }

  /** The cost of the first one; 0 where there is none. */
  get firstCost(): number {
    return this.#length === 0 ? 0 : (this.#blocks[0]?.costs[this.#head] ?? 0);
  }

  /** @param cost a whole number below 2^32 */
  push(number: bigint, cost = 0): void {
    let block = this.#blocks.at(-1);
    if (!block || this.#tail === block.numbers.length) {
      const length = block ? Math.min(lastBlockLength, block.numbers.length * 4) : firstBlockLength;
      block = { numbers: new BigUint64Array(length), costs: new Uint32Array(length) };
      this.#blocks.push(block);
      this.#tail = 0;
    }
    block.numbers[this.#tail] = number;
    block.costs[this.#tail++] = cost;
    this.#length += 1;
    this.#cost += cost;
  }

  shift(): bigint | undefined {
    const [block] = this.#blocks;
    if (!block || this.#length === 0) return undefined;
    this.#cost -= block.costs[this.#head] ?? 0;
    const number = block.numbers[this.#head++];
    this.#length -= 1;
    if (this.#length === 0) {
      // The block is used again: a line that is short, and often empty, takes no new memory.
      this.#head = 0;
      this.#tail = 0;
    } else if (this.#head === block.numbers.length) {
      this.#blocks.shift();
      this.#head = 0;
    }
    return number;
  }
}
