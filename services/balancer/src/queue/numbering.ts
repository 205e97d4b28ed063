import { randomBytes } from "node:crypto";
import type { LedgerIdentity } from "../ports/ledger-identity.js";
import { makeFolder } from "./folder.js";
import { NumberingFile, type SavedNumbering } from "./numbering-file.js";

/** How many numbers are reserved with one write: at first, and at most. */
const firstBlockSize = 100_000n;
const mostBlockSize = 64n * firstBlockSize;

/**
 * Gives every upload its number: from 1, never the same twice, across restarts and crashes. Numbers are reserved in blocks, in a small fsynced file
 * (`NumberingFile`), before any of them is given out; a crash skips the rest of its block, a proper `close` does not. Where much of a block is given out while the next one is being
 * written, blocks become larger. The file also keeps who numbers (the origin) and how often it was started (the term).
 */
export class Numbering implements LedgerIdentity {
  readonly origin: string;
  readonly term: number;
  /** What was wrong with the file when it was opened, for people. */
  readonly problems: readonly string[];
  readonly #file: NumberingFile;
  #last: bigint;
  #reservedUpTo: bigint;
  #blockSize = firstBlockSize;
  #reserving: Promise<void> | undefined;
  /** Why the last reservation has failed. */
  #failure: unknown;

  private constructor(
    file: NumberingFile,
    { origin, term, reservedUpTo }: SavedNumbering,
    problems: readonly string[],
  ) {
    this.#file = file;
    this.origin = origin;
    this.term = term;
    this.problems = problems;
    this.#last = reservedUpTo;
    this.#reservedUpTo = this.#last;
  }

  /**
   * Opens the numbering kept in a folder, or begins a new one there.
   *
   * @throws Error when it is there but cannot be understood: to go on would give numbers out twice
   */
  static async open(stateDir: string): Promise<Numbering> {
    await makeFolder(stateDir);
    const file = new NumberingFile(stateDir);
    const { saved, problems } = await file.read();
    const { origin, term, reservedUpTo } = saved ?? {
      origin: randomBytes(16).toString("hex"),
      ...{ term: 0, reservedUpTo: 0n },
    };
    const numbering = new Numbering(file, { origin, term: term + 1, reservedUpTo }, problems);
    await numbering.#reserve();
    return numbering;
  }

  /** The last number given out, or kept back by a crash; 0 before the first. */
  get last(): bigint {
    return this.#last;
  }

  /**
   * The next number; `undefined` for a moment where numbers are wanted faster than they can be reserved.
   *
   * @throws Error when the disk does not take what is reserved: numbers are never given out unreserved
   */
  next(): bigint | undefined {
    const isUsedUp = this.#last >= this.#reservedUpTo;
    if (!isUsedUp) this.#last += 1n;
    // A failed write is tried again with the next number.
    if (this.#reservedUpTo - this.#last < this.#blockSize / 2n) this.#reserving ??= this.#reserveNext();
    if (!isUsedUp) return this.#last;
    if (!this.#failure) return undefined;
    const cause = this.#failure;
    throw new Error("no request number is reserved; the state folder cannot be written", { cause });
  }

  /**
   * Goes on after a number that was given out, as others know: the file may be an older one, or begun anew. To be called before any number is asked for.
   *
   * @returns whether it was behind
   */
  async skipTo(number: bigint): Promise<boolean> {
    if (number <= this.#last) return false;
    this.#last = number;
    await this.#reserve();
    return true;
  }

  /** Gives the unused rest of the block back. @throws Error when that cannot be written: the next start skips it, as after a crash */
  async close(): Promise<void> {
    await this.#reserving;
    await this.#write(this.#last);
    this.#reservedUpTo = this.#last;
  }

  async #reserveNext(): Promise<void> {
    try {
      await this.#reserve();
      this.#failure = undefined;
    } catch (error) {
      this.#failure = error;
    } finally {
      this.#reserving = undefined;
    }
  }

  async #reserve(): Promise<void> {
    const from = this.#last;
    const upTo = from + this.#blockSize;
    await this.#write(upTo);
    this.#reservedUpTo = upTo;
    const isUsedFast = this.#last - from > this.#blockSize / 4n;
    if (isUsedFast && this.#blockSize < mostBlockSize) this.#blockSize *= 2n;
  }

  async #write(reservedUpTo: bigint): Promise<void> {
    await this.#file.write({ origin: this.origin, term: this.term, reservedUpTo });
  }
}
