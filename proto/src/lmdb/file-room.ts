import { closeSync, fstatSync, fsyncSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import type { RootDatabase } from "lmdb";
import { isFull, isShortage } from "../system-error.js";

/** What is used of an LMDB environment. */
type Environment = Pick<RootDatabase, "getStats" | "transactionSync">;

/** Thrown in place of a write that the disk has no room for. */
export class DiskFull extends Error {
  readonly code = "ENOSPC";

  constructor() {
    super("there is no room to write a record");
  }
}

/** How much is made ready at a time, in bytes. */
const growBytes = 8 * 1024 * 1024;
/** Room below which more is made ready, and below which nothing new is taken: what is left is for outcomes. In bytes. */
const lowBytes = 4 * 1024 * 1024;
const reserveBytes = 2 * 1024 * 1024;
/** What is never used up: tables grow by more than what is put. In bytes. */
const leastBytes = 512 * 1024;
/** What a write may take beyond its own bytes: pages of each table, in bytes. */
export const overheadBytes = 8 * 1024;

/**
 * The room at the end of an LMDB environment's file, made ready before it is needed. LMDB does not survive a full disk: a failed write of its own can damage the process's
 * memory. So the file is kept longer than LMDB has used of it, and a write that might not fit is refused before LMDB sees it.
 */
export class FileRoom {
  readonly #root: Environment;
  readonly #file: string;
  #pendingBytes = 0;
  #roomBytes = 0;

  constructor(root: Environment, dir: string) {
    this.#root = root;
    this.#file = path.join(dir, "data.mdb");
  }

  /**
   * Takes room for a write; returns what to call when it has been made or has failed.
   *
   * @param outcome whether it ends something: it may then use what is kept back from what is new
   * @throws DiskFull
   */
  take(bytes: number, outcome: boolean): () => void {
    const neededBytes = bytes + overheadBytes;
    const keptBytes = outcome ? leastBytes : reserveBytes;
    if (this.#roomBytes - neededBytes < lowBytes) this.#look(neededBytes);
    if (this.#roomBytes - neededBytes < keptBytes) throw new DiskFull();
    this.#roomBytes -= neededBytes;
    this.#pendingBytes += neededBytes;
    return () => {
      this.#pendingBytes -= neededBytes;
    };
  }

  /** Measures anew, for much of what was counted has used pages that had become free; makes more room where there is little. */
  #look(neededBytes: number): void {
    const fd = this.#open();
    // What has been made ready is used up first, and is looked at anew with the next write.
    if (fd === undefined) return;
    try {
      this.#roomBytes = this.#measure(fd);
      if (this.#roomBytes - neededBytes >= lowBytes) return;
      // What was just committed counts twice until its writers have been told: in a burst that is more than one step.
      const lackBytes = Math.max(0, -this.#roomBytes);
      // Within a transaction no other one writes to the file.
      this.#root.transactionSync(() => grow(fd, lackBytes + growBytes + neededBytes));
      this.#roomBytes = this.#measure(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** `undefined` while there is no handle to spare. */
  #open(): number | undefined {
    try {
      return openSync(this.#file, "r+");
    } catch (error) {
      if (isShortage(error)) return undefined;
      throw error;
    }
  }

  #measure(fd: number): number {
    const { lastPageNumber, pageSize } = this.#root.getStats() as { lastPageNumber: number; pageSize: number };
    return fstatSync(fd).size - (lastPageNumber + 1) * pageSize - this.#pendingBytes;
  }
}

/** Lengthens a file, by zeros that are really on disk; by less where the disk is full. */
function grow(fd: number, bytes: number): void {
  const zeros = Buffer.alloc(256 * 1024);
  const beginBytes = fstatSync(fd).size;
  try {
    for (let grown = 0; grown < bytes; ) grown += writeSync(fd, zeros, 0, zeros.length, beginBytes + grown);
  } catch (error) {
    if (!isFull(error)) throw error;
  }
  try {
    fsyncSync(fd);
  } catch (error) {
    // Final, also where it is for want of space: it flushes what LMDB has written too.
    throw new Error("a flush failed", { cause: error });
  }
}
