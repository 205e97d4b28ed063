import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { replaceFile } from "@bilancia/proto/replace-file";
import type { LedgerIdentity } from "../ports/ledger-identity.js";
import { makeFolder } from "./folder.js";

interface Saved {
  readonly origin: string;
  readonly term: number;
  /** Every number up to and including this one may have been given out. */
  readonly reservedUpTo: string;
}

/** How many numbers are reserved with one write: at first, and at most. */
const firstBlockSize = 100_000n;
const mostBlockSize = 64n * firstBlockSize;

/**
 * Gives every upload its number: from 1, never the same twice, across restarts and crashes. Numbers are reserved in blocks, in one small fsynced file
 * (`numbering.json`), before any of them is given out; a crash skips the rest of its block, a proper `close` does not. Where much of a block is given out while the next one is being
 * written, blocks become larger. The file also keeps who numbers (the origin) and how often it was started (the term).
 */
export class Numbering implements LedgerIdentity {
  readonly origin: string;
  readonly term: number;
  readonly #file: string;
  #last: bigint;
  #reservedUpTo: bigint;
  #blockSize = firstBlockSize;
  #reserving: Promise<void> | undefined;
  /** Why the last reservation has failed. */
  #failure: unknown;

  private constructor(file: string, saved: Saved) {
    this.#file = file;
    this.origin = saved.origin;
    this.term = saved.term;
    this.#last = BigInt(saved.reservedUpTo);
    this.#reservedUpTo = this.#last;
  }

  /**
   * Opens the numbering kept in a folder, or begins a new one there.
   *
   * @throws Error when the file is there but cannot be understood: to go on would give numbers out twice
   */
  static async open(stateDir: string): Promise<Numbering> {
    await makeFolder(stateDir);
    const file = path.join(stateDir, "numbering.json");
    const previous = await read(file);
    const numbering = new Numbering(file, {
      origin: previous?.origin ?? randomBytes(16).toString("hex"),
      term: (previous?.term ?? 0) + 1,
      reservedUpTo: previous?.reservedUpTo ?? "0",
    });
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
    const saved: Saved = { origin: this.origin, term: this.term, reservedUpTo: String(reservedUpTo) };
    await replaceFile(this.#file, `${JSON.stringify(saved)}\n`);
  }
}

async function read(file: string): Promise<Saved | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const { origin, term, reservedUpTo } = JSON.parse(text) as Partial<Saved>;
    if (/^[0-9a-f]{32}$/.test(origin ?? "") && Number.isSafeInteger(term) && /^[0-9]+$/.test(reservedUpTo ?? "")) {
      return { origin, term, reservedUpTo } as Saved;
    }
  } catch {
    // Falls through to the same error.
  }
  throw new Error(
    `${file} is damaged: expected {"origin":"<32 hex digits>","term":N,"reservedUpTo":"N"}. ` +
      "Restore it from a backup, or remove it to begin a new origin at number 1.",
  );
}
