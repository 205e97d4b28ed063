import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { headerAt } from "./ledger-header.js";
import {
  type Header,
  keyOf,
  nodeAt,
  nodeBytesAt,
  nodeHeaderBytes,
  noPage,
  numberAt,
  numberKeys,
  pageFlags,
  pageHeaderBytes,
  type Tree,
  treeAt,
  treeBytes,
  valueFlags,
} from "./lmdb-format.js";

/** Thrown for a file in which LMDB would go astray. The message says where, what there is, and what was expected. */
export class DamagedPages extends Error {}

/** What a sound file tells of itself. */
export interface LedgerPages {
  /** The names of its tables. */
  readonly tables: readonly string[];
  /**
   * Whether both headers are whole, and of two commits in a row. LMDB writes them in turn, and silently goes by the older one where the newer one is damaged: then the last
   * commit is lost.
   */
  readonly hasBothHeaders: boolean;
}

/**
 * Reads the data file of an LMDB environment page by page, without LMDB, which trusts each length and each page number that it finds there: one wrong bit can have it
 * read and write beyond its memory, or use a page twice. All that LMDB follows is compared with what it must be. What is in keys and values is only read, for who put it there
 * has checksums.
 *
 * @throws DamagedPages
 */
export function readLedgerPages(file: string): LedgerPages {
  const fd = openSync(file, "r");
  try {
    return new PageReading(fd).read();
  } finally {
    closeSync(fd);
  }
}

/** A tree while it is read. */
interface Reading {
  readonly name: string;
  readonly depth: number;
  readonly compare: (a: Buffer, b: Buffer) => number;
  /** Key and value are there until it returns. */
  readonly onEntry: (key: Buffer, value: Buffer, flags: number) => void;
  readonly found: { branchPages: number; leafPages: number; largePages: number; entries: number };
}

/** More levels than LMDB follows. */
const maxDepth = 32;
/** The pages before it are the headers. */
const firstPage = 2;

class PageReading {
  readonly #fd: number;
  readonly #filePages: number;
  readonly #header: Header;
  readonly #hasBothHeaders: boolean;
  readonly #pageBytes: number;
  /** The pages in which something was found. */
  readonly #taken: Uint8Array;
  /** One page for each level at which there is something being read. */
  readonly #pages: Buffer[] = [];
  #levels = 0;
  /** The large value that was read last. */
  #large = Buffer.alloc(0);
  /** How long a page's nodes are, by half of where they begin; all zero between two pages. */
  readonly #nodeBytes: Uint16Array;

  constructor(fd: number) {
    this.#fd = fd;
    const first = headerAt(fd, 0);
    if (!first) throw new DamagedPages("the first header is damaged");
    this.#pageBytes = first.pageBytes;
    const second = headerAt(fd, this.#pageBytes);
    const isSecond = second !== undefined && second.commit > first.commit;
    this.#header = isSecond ? second : first;
    const between = second && Math.abs(first.commit - second.commit);
    this.#hasBothHeaders = between === 1 || (between === 0 && first.commit === 0);
    this.#filePages = Math.floor(fstatSync(fd).size / this.#pageBytes);
    // What is beyond the end of the file cannot be taken, whatever the header says.
    this.#taken = new Uint8Array(Math.min(this.#header.lastPage + 1, this.#filePages));
    this.#nodeBytes = new Uint16Array(this.#pageBytes / 2);
  }

  read(): LedgerPages {
    const tables: string[] = [];
    this.#readTree("the table of tables", this.#header.main, 0, Buffer.compare, (key, value, flags) => {
      const table = key.toString().replace("\0", "");
      const name = `table ${JSON.stringify(table)}`;
      expect(`${name}: flags`, flags, valueFlags.tree);
      expect(`${name}: bytes of its record`, value.length, treeBytes);
      tables.push(table);
      const ofEntry = `${name}: flags of an entry`;
      this.#readTree(name, treeAt(value, 0), 0, Buffer.compare, (_key, _value, flags) =>
        expect(ofEntry, flags & ~valueFlags.large, 0),
      );
    });
    this.#readFree(this.#header.free);
    return { tables, hasBothHeaders: this.#hasBothHeaders };
  }

  /** @param onEntry is called for each entry, in order */
  #readTree(name: string, tree: Tree, flags: number, compare: Reading["compare"], onEntry: Reading["onEntry"]): void {
    const { depth, root, branchPages, leafPages, largePages, entries } = tree;
    const found = { branchPages: 0, leafPages: 0, largePages: 0, entries: 0 };
    expect(`${name}: flags`, tree.flags, flags);
    if (depth > maxDepth) throw new DamagedPages(`${name} has ${depth} levels; expected at most ${maxDepth}`);
    if (depth > 0) this.#readPage({ name, depth, compare, onEntry, found }, root, 1);
    else expect(`${name}: root`, root, noPage);
    expect(`${name}: branch pages`, branchPages, found.branchPages);
    expect(`${name}: leaf pages`, leafPages, found.leafPages);
    expect(`${name}: large pages`, largePages, found.largePages);
    expect(`${name}: entries`, entries, found.entries);
  }

  /** A page of a tree, with all below it. Its keys are from `low` on, and below `high`. */
  #readPage(reading: Reading, number: number, level: number, low?: Buffer, high?: Buffer): void {
    const what = `page ${number} of ${reading.name}`;
    const isLeaf = level === reading.depth;
    this.#take(number, 1, what);
    const page = this.#pageFor(this.#levels++);
    this.#fill(page, number, what);
    this.#checkPageHeader(page, number, isLeaf ? pageFlags.leaf : pageFlags.branch, what);
    const count = this.#checkNodes(page, isLeaf, what);
    checkOrder(reading, page, count, isLeaf, what, low, high);
    if (isLeaf) reading.found.leafPages += 1;
    else reading.found.branchPages += 1;
    for (let index = 0; index < count; index++) {
      if (isLeaf) this.#readEntry(reading, page, index, what);
      else {
        const child = page.readUIntLE(nodeAt(page, index), 6);
        const from = index === 0 ? low : keyOf(page, index);
        this.#readPage(reading, child, level + 1, from, index + 1 < count ? keyOf(page, index + 1) : high);
      }
    }
    this.#levels -= 1;
  }

  #readEntry(reading: Reading, page: Buffer, index: number, what: string): void {
    const at = nodeAt(page, index);
    const flags = page.readUInt16LE(at + 4);
    const valueAt = at + nodeHeaderBytes + page.readUInt16LE(at + 6);
    const valueBytes = page.readUInt32LE(at);
    reading.found.entries += 1;
    let value = page.subarray(valueAt, valueAt + valueBytes);
    if (flags & valueFlags.large) {
      const count = numberAt(page, valueAt + 16);
      value = this.#readLarge(numberAt(page, valueAt), count, numberAt(page, valueAt + 8), valueBytes, what);
      reading.found.largePages += count;
    }
    reading.onEntry(keyOf(page, index), value, flags);
  }

  /** A value that has pages of its own. */
  #readLarge(number: number, count: number, commit: number, bytes: number, of: string): Buffer {
    const what = `page ${number} after ${of}`;
    this.#take(number, count, what);
    if (pageHeaderBytes + bytes > count * this.#pageBytes)
      throw new DamagedPages(`${what}: a value of ${bytes} bytes is in ${count} pages`);
    // First of all whether they are so many: there is memory to take for them.
    const first = this.#pageFor(this.#levels);
    this.#fill(first, number, what);
    this.#checkPageHeader(first, number, pageFlags.large, what);
    expect(`${what}: its pages`, first.readUInt32LE(20), count);
    expect(`${what}: its commit`, numberAt(first, 8), commit);
    if (this.#large.length < count * this.#pageBytes) this.#large = Buffer.alloc(count * this.#pageBytes);
    this.#fill(this.#large.subarray(0, count * this.#pageBytes), number, what);
    return this.#large.subarray(pageHeaderBytes, pageHeaderBytes + bytes);
  }

  /** The lists of pages that are free, one for each of some commits: nothing of them may be in use, nor be free twice. */
  #readFree(tree: Tree): void {
    const free: { first: number; count: number; what: string }[] = [];
    this.#readTree("the free pages", tree, numberKeys, byCommit, (key, value) => {
      const what = `the free pages of commit ${commitOf(key)}`;
      const entries = value.length < 8 ? 0 : numberAt(value, 0);
      if (value.length % 8 !== 0 || (entries + 1) * 8 > value.length)
        throw new DamagedPages(`${what}: ${entries} entries in ${value.length} bytes`);
      for (let index = 1; index <= entries; index++) {
        // The first of one page; or, below zero, of how many, and then the first of them; or nothing.
        let first = Number(value.readBigInt64LE(index * 8));
        if (first === 0) continue;
        const count = first < 0 ? -first : 1;
        if (first < 0) {
          index += 1;
          if (index > entries) throw new DamagedPages(`${what}: ${count} pages from nowhere`);
          first = numberAt(value, index * 8);
        }
        free.push({ first, count, what });
      }
    });
    let endsAt = this.#filePages;
    for (const { first, count, what } of free.sort((a, b) => a.first - b.first)) {
      this.#take(first, count, `page ${first} in ${what}`, true);
      if (first <= endsAt) endsAt = Math.max(endsAt, first + count);
    }
    // What was never written to may be missing.
    if (endsAt <= this.#header.lastPage)
      throw new DamagedPages(`page ${endsAt}: the file ends there; expected ${this.#header.lastPage + 1} pages`);
  }

  #checkPageHeader(page: Buffer, number: number, flags: number, what: string): void {
    expect(`${what}: its number`, numberAt(page, 0), number);
    const commit = numberAt(page, 8);
    if (commit > this.#header.commit)
      throw new DamagedPages(`${what}: commit ${commit}; the last one was ${this.#header.commit}`);
    expect(`${what}: pad`, page.readUInt16LE(16), 0);
    expect(`${what}: flags`, page.readUInt16LE(18), flags);
  }

  /** How many nodes a page has. They fill its end, side by side in any order. */
  #checkNodes(page: Buffer, isLeaf: boolean, what: string): number {
    const end = this.#pageBytes;
    const listEnd = pageHeaderBytes + page.readUInt16LE(20);
    const begin = pageHeaderBytes + page.readUInt16LE(22);
    if (listEnd % 2 !== 0 || listEnd === pageHeaderBytes || listEnd > begin || begin > end)
      throw new DamagedPages(`${what}: free from ${listEnd} to ${begin} of ${end} bytes`);
    const count = (listEnd - pageHeaderBytes) / 2;
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
      this.#nodeBytes[at / 2] = 0;
      at += bytes;
    }
    expect(`${what}: where its entries end`, at, end);
    return count;
  }

  /** Remembers what pages are for; nothing else may be in them. */
  #take(first: number, count: number, what: string, isFree = false): void {
    // A file may end before pages that are free.
    const end = isFree ? this.#header.lastPage + 1 : this.#taken.length;
    if (first < firstPage || count < 1 || first + count > end)
      throw new DamagedPages(
        `${what}: ${count} pages from ${first} on; expected pages from ${firstPage} to ${end - 1}`,
      );
    const takenEnd = Math.min(first + count, this.#taken.length);
    for (let number = first; number < takenEnd; number++) {
      if (this.#taken[number]) throw new DamagedPages(`${what}: page ${number} is in use twice`);
      this.#taken[number] = 1;
    }
  }

  #pageFor(level: number): Buffer {
    this.#pages[level] ??= Buffer.alloc(this.#pageBytes);
    return this.#pages[level];
  }

  #fill(pages: Buffer, number: number, what: string): void {
    let bytes: number;
    try {
      bytes = readSync(this.#fd, pages, 0, pages.length, number * this.#pageBytes);
    } catch (error) {
      throw new DamagedPages(`${what} cannot be read: ${(error as Error).message}`);
    }
    expect(`${what}: bytes of it that are there`, bytes, pages.length);
  }
}

function checkOrder(
  { compare }: Reading,
  page: Buffer,
  count: number,
  isLeaf: boolean,
  what: string,
  low: Buffer | undefined,
  high: Buffer | undefined,
): void {
  let last = low;
  // A branch page says nothing by its first key: what is below it begins where the page does.
  for (let index = isLeaf ? 0 : 1; index < count; index++) {
    const key = keyOf(page, index);
    const order = last ? compare(last, key) : -1;
    if (order > 0 || (order === 0 && index > 0)) throw new DamagedPages(`${what}: its keys are not in order`);
    last = key;
  }
  if (last && high && compare(last, high) >= 0)
    throw new DamagedPages(`${what}: its keys are not below those that follow`);
}

function byCommit(a: Buffer, b: Buffer): number {
  return commitOf(a) - commitOf(b);
}

/** The commit that a list of free pages is of, by its key. */
function commitOf(key: Buffer): number {
  expect("the free pages: bytes of a key", key.length, 8);
  return numberAt(key, 0);
}

function expect(what: string, there: number, expected: number): void {
  if (there !== expected) throw new DamagedPages(`${what}: ${there}; expected ${expected}`);
}
