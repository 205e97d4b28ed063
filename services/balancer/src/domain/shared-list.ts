/** A list as it was at a time, in blocks: `flat()` gives it whole. */
export type Blocks<T> = readonly (readonly T[])[];

const blockLength = 32;

/**
 * A list that can be handed out as it is, and goes on changing: what is handed out shares with it, and with what is handed out later, all blocks that have
 * not changed between. Handing it out costs a place for each block, and the first change of a block after that a copy of the block.
 */
export class SharedList<T> {
  readonly #blocks: T[][] = [];
  /** Whether nobody else has the block, by its index. */
  readonly #own: boolean[] = [];
  /** What was handed out last, while it is still as the list is. */
  #given: Blocks<T> | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get(index: number): T | undefined {
    return this.#blocks[Math.floor(index / blockLength)]?.[index % blockLength];
  }

  /** @param index up to the length, which makes the list longer by one */
  set(index: number, value: T): void {
    if (index < 0 || index > this.#length)
      throw new RangeError(`expected an index of 0 to ${this.#length}; came ${index}`);
    this.#blockFor(Math.floor(index / blockLength))[index % blockLength] = value;
    this.#length = Math.max(this.#length, index + 1);
  }

  /** Leaves the first ones only. */
  truncate(length: number): void {
    if (length >= this.#length) return;
    const blocks = Math.ceil(length / blockLength);
    this.#blocks.length = blocks;
    this.#own.length = blocks;
    if (length % blockLength > 0) this.#blockFor(blocks - 1).length = length % blockLength;
    this.#length = length;
    this.#given = undefined;
  }

  /** The list as it is now. */
  share(): Blocks<T> {
    if (!this.#given) {
      this.#given = this.#blocks.slice();
      this.#own.fill(false);
    }
    return this.#given;
  }

  /** A block that may be changed. */
  #blockFor(at: number): T[] {
    this.#given = undefined;
    let block = this.#blocks[at] ?? [];
    if (!this.#own[at]) {
      block = block.slice();
      this.#blocks[at] = block;
      this.#own[at] = true;
    }
    return block;
  }
}
