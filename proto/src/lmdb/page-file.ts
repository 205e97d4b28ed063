import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { type Header, nodeAt, nodeBytesAt, nodeHeaderBytes, numberAt, pageFlags, pageHeaderBytes } from "./format.js";
import { headersOf } from "./header.js";

/** A place where LMDB would go astray. The message says where, what there is, and what was expected. */
export class DamagedPages extends Error {}

/** The pages before it are the headers. */
const firstPage = 2;

/** Whose pages are read: each commit leaves those of the one before as they are. */
export type CommitChoice = "last" | "before";

/** Where a value is that has pages of its own, as its leaf says. */
export interface LargeValue {
  readonly page: number;
  readonly pages: number;
  readonly commit: number;
  readonly bytes: number;
}

/** The pages of an LMDB data file, each looked at before it is given out, and given out once. Nobody may write to the file meanwhile. */
export class PageFile {
  readonly header: Header;
  /**
   * Whether both headers are whole, and of two commits in a row. LMDB writes them in turn, and silently goes by the older one where the newer one is damaged: then the last
   * commit is lost.
   */
  readonly hasBothHeaders: boolean;
  readonly #fd: number;
  /** How many pages the file has. */
  readonly count: number;
  /** The last page of its commits. Each has as many as the one before, or more; so the greater number counts where a header is damaged. */
  readonly lastPage: number;
  /** The pages in which something was found. */
  readonly #taken: Uint8Array;
  /** How long a page's nodes are, by half of where they begin. */
  readonly #nodeBytes: Uint16Array;
  /** The first page of a large value. */
  readonly #first: Buffer;

  /** @throws DamagedPages where the first header is damaged, or there is none of the commit that is asked for */
  constructor(file: string, commit: CommitChoice) {
    this.#fd = openSync(file, "r");
    try {
      const { first, second } = headersOf(this.#fd);
      if (!first) throw new DamagedPages("the first header is damaged");
      const [last, before] = second && second.commit > first.commit ? [second, first] : [first, second];
      const header = commit === "last" ? last : before;
      if (!header) throw new DamagedPages("the second header is damaged");
      this.header = header;
      const between = second && Math.abs(first.commit - second.commit);
      this.hasBothHeaders = between === 1 || (between === 0 && first.commit === 0);
      this.lastPage = Math.max(first.lastPage, second?.lastPage ?? 0);
      this.count = Math.floor(fstatSync(this.#fd).size / this.header.pageBytes);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
    // What is beyond the end of the file cannot be taken, whatever the header says.
    this.#taken = new Uint8Array(Math.min(this.lastPage + 1, this.count));
    this.#nodeBytes = new Uint16Array(this.header.pageBytes / 2);
    this.#first = Buffer.alloc(this.header.pageBytes);
  }

  close(): void {
    closeSync(this.#fd);
  }

  /**
   * Reads a page of a tree. It is to be taken when it is known to belong there: a number that is damaged must not take a page away from where it belongs.
   *
   * @returns how many nodes it has
   * @throws DamagedPages
   */
  readPage(page: Buffer, number: number, isLeaf: boolean, what: string): number {
    this.#checkRange(number, 1, this.#taken.length, what);
    this.#fill(page, number, what);
    this.#checkPageHeader(page, number, isLeaf ? pageFlags.leaf : pageFlags.branch, what);
    return this.#checkNodes(page, isLeaf, what);
  }

  /** Reads each leaf, into a page, that is not taken so far. A large value says how long it is, so that nothing in it is taken for a leaf. */
  *leavesLeft(page: Buffer): Generator<{ number: number; count: number }, void, void> {
    for (let number = firstPage; number < this.#taken.length; number++) {
      if (this.isTaken(number)) continue;
      try {
        yield { number, count: this.readPage(page, number, true, `page ${number}`) };
      } catch (error) {
        if (!(error instanceof DamagedPages)) throw error;
        const isLarge = numberAt(page, 0) === number && page.readUInt16LE(18) === pageFlags.large;
        if (isLarge) number += Math.max(0, page.readUInt32LE(20) - 1);
      }
    }
  }

  /**
   * Reads and takes a value that has pages of its own.
   *
   * @param into is used where it is long enough
   * @returns the pages, as long as they are
   * @throws DamagedPages
   */
  readLarge({ page, pages, commit, bytes }: LargeValue, into: Buffer, what: string): Buffer {
    const { pageBytes } = this.header;
    this.#checkRange(page, pages, this.#taken.length, what);
    if (pageHeaderBytes + bytes > pages * pageBytes)
      throw new DamagedPages(`${what}: a value of ${bytes} bytes is in ${pages} pages`);
    // First of all whether they are so many: there is memory to take for them.
    this.#fill(this.#first, page, what);
    this.#checkPageHeader(this.#first, page, pageFlags.large, what);
    expect(`${what}: its pages`, this.#first.readUInt32LE(20), pages);
    expect(`${what}: its commit`, numberAt(this.#first, 8), commit);
    this.take(page, pages, what);
    const whole = into.length < pages * pageBytes ? Buffer.alloc(pages * pageBytes) : into;
    this.#fill(whole.subarray(0, pages * pageBytes), page, what);
    return whole;
  }

  /** Remembers that pages are free; the file may end before them. @throws DamagedPages where something is in them */
  takeFree(first: number, count: number, what: string): void {
    this.#checkRange(first, count, this.lastPage + 1, what);
    this.take(first, count, what);
  }

  isTaken(number: number): boolean {
    return this.#taken[number] === 1;
  }

  /** Remembers what pages are for; nothing else may be in them. @throws DamagedPages */
  take(first: number, count: number, what: string): void {
    const takenEnd = Math.min(first + count, this.#taken.length);
    for (let number = first; number < takenEnd; number++) {
      if (this.isTaken(number)) throw new DamagedPages(`${what}: page ${number} is in use twice`);
      this.#taken[number] = 1;
    }
  }

  #checkPageHeader(page: Buffer, number: number, flags: number, what: string): void {
    expect(`${what}: its number`, numberAt(page, 0), number);
    const commit = numberAt(page, 8);
    if (commit > this.header.commit)
      throw new DamagedPages(`${what}: commit ${commit}; the last one was ${this.header.commit}`);
    expect(`${what}: pad`, page.readUInt16LE(16), 0);
    expect(`${what}: flags`, page.readUInt16LE(18), flags);
  }

  /** How many nodes a page has. They fill its end, side by side in any order. */
  #checkNodes(page: Buffer, isLeaf: boolean, what: string): number {
    const end = this.header.pageBytes;
    const listEnd = pageHeaderBytes + page.readUInt16LE(20);
    const begin = pageHeaderBytes + page.readUInt16LE(22);
    if (listEnd % 2 !== 0 || listEnd === pageHeaderBytes || listEnd > begin || begin > end)
      throw new DamagedPages(`${what}: free from ${listEnd} to ${begin} of ${end} bytes`);
    const count = (listEnd - pageHeaderBytes) / 2;
    this.#nodeBytes.fill(0);
    for (let index = 0; index < count; index++) {
      const at = nodeAt(page, index);
      const bytes = at % 2 === 0 && at >= begin && at + nodeHeaderBytes <= end ? nodeBytesAt(page, at, isLeaf) : 0;
      if (bytes === 0 || at + bytes > end || this.#nodeBytes[at / 2] !== 0)
        throw new DamagedPages(`${what}: an entry is at ${at}, ${bytes} bytes long`);
      this.#nodeBytes[at / 2] = bytes;
    }
    let at = begin;
    for (let index = 0; index < count; index++) {
      const bytes = this.#nodeBytes[at / 2] ?? 0;
      if (bytes === 0) throw new DamagedPages(`${what}: expected an entry at ${at}`);
      at += bytes;
    }
    expect(`${what}: where its entries end`, at, end);
    return count;
  }

  #checkRange(first: number, count: number, end: number, what: string): void {
    if (first < firstPage || count < 1 || first + count > end)
      throw new DamagedPages(
        `${what}: ${count} pages from ${first} on; expected pages from ${firstPage} to ${end - 1}`,
      );
  }

  #fill(pages: Buffer, number: number, what: string): void {
    let bytes: number;
    try {
      bytes = readSync(this.#fd, pages, 0, pages.length, number * this.header.pageBytes);
    } catch (error) {
      throw new DamagedPages(`${what} cannot be read: ${(error as Error).message}`);
    }
    expect(`${what}: bytes of it that are there`, bytes, pages.length);
  }
}

/** @throws DamagedPages */
export function expect(what: string, there: number, expected: number): void {
  if (there !== expected) throw new DamagedPages(`${what}: ${there}; expected ${expected}`);
}
