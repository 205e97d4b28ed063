import {
  keyOf,
  nodeAt,
  nodeHeaderBytes,
  noFolder,
  noPage,
  numberAt,
  numberKeys,
  pageHeaderBytes,
  type Tree,
  treeAt,
  treeBytes,
  valueFlags,
} from "./format.js";
import { type CommitChoice, DamagedPages, expect, PageFile } from "./page-file.js";

/** What a table has under a key. Both are there until the next one is asked for. */
export interface Entry {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** An entry as its leaf has it. */
interface FlaggedEntry extends Entry {
  readonly flags: number;
}

/** A tree while it is read. */
interface Reading {
  readonly name: string;
  readonly depth: number;
  readonly compare: (a: Buffer, b: Buffer) => number;
  readonly found: { branchPages: number; leafPages: number; largePages: number; entries: number };
  /** One page for each level. */
  readonly pages: Buffer[];
  /** The large value that was read last. */
  large: Buffer;
}

/** A leaf of a tree, and how many entries it has. */
interface Leaf {
  readonly page: Buffer;
  readonly count: number;
  readonly what: string;
  /** An entry whose key is damaged, by the order of those beside it. */
  readonly without: number | undefined;
}

/** The keys of a page. They are in order, from `low` on, and below `high`. */
interface PageKeys {
  readonly page: Buffer;
  readonly count: number;
  readonly isLeaf: boolean;
  readonly compare: Reading["compare"];
  readonly low: Buffer | undefined;
  readonly high: Buffer | undefined;
}

/** The keys of a page are not in order, from one on. */
interface Disorder {
  readonly index: number;
  readonly words: string;
}

/** More levels than LMDB follows. */
const maxDepth = 32;

/**
 * Reads the data file of an LMDB environment page by page, without LMDB, which trusts each length and each page number that it finds there: one wrong bit can have it
 * read and write beyond its memory, or use a page twice. All that LMDB follows is compared with what it must be. What is in keys and values is only read, for who put it there
 * has checksums. Nobody may write to the file meanwhile. Whoever makes it closes it.
 */
export class LmdbFile {
  readonly #file: PageFile;
  readonly #onDamage: (damage: DamagedPages) => void;

  /**
   * @param onDamage hears of what is damaged; reading goes on behind it, or ends where this throws. Default: throws
   * @param commit as of which it is read. Default: the last one
   * @throws DamagedPages where the first header is damaged, or there is none of that commit
   */
  constructor(file: string, onDamage: (damage: DamagedPages) => void = raise, commit: CommitChoice = "last") {
    this.#file = new PageFile(file, commit);
    this.#onDamage = onDamage;
  }

  /** Whether the last commit is there, as far as the headers tell; see `PageFile`. */
  get hasBothHeaders(): boolean {
    return this.#file.hasBothHeaders;
  }

  close(): void {
    this.#file.close();
  }

  /** Reads the list of its tables, and of each table the page under which all others are found. */
  checkRoots(): void {
    const page = Buffer.alloc(this.#file.header.pageBytes);
    for (const [name, { root, depth }] of this.#tables())
      if (depth > 0) this.#file.readPage(page, root, depth === 1, `page ${root} of ${nameOf(name)}`);
  }

  /** Reads all of it, and gives back the names of its tables. To be called once. */
  check(): string[] {
    const tables = this.#tables();
    for (const [name, tree] of tables) for (const _ of this.#entriesOf(name, tree));
    this.#readFree(this.#file.header.free);
    return [...tables.keys()];
  }

  /** What can be read of some tables, each in the order of its keys. Several can be read side by side. To be called once. */
  readTables<Name extends string>(names: readonly Name[]): Record<Name, IterableIterator<Entry>> {
    // First what is free: there lie pages of earlier commits, to which a number that is damaged may lead.
    this.#try(() => this.#readFree(this.#file.header.free));
    const tables = this.#tables();
    const read = names.map((name) => {
      const tree = tables.get(name);
      return [name, tree ? this.#entriesOf(name, tree) : [].values()];
    });
    return Object.fromEntries(read) as Record<Name, IterableIterator<Entry>>;
  }

  /** The trees by name. */
  #tables(): Map<string, Tree> {
    const tables = new Map<string, Tree>();
    const { main } = this.#file.header;
    const reading = readingOf("the table of tables", main, Buffer.compare);
    for (const { key, value, flags } of this.#readTree(reading, main, 0)) {
      const table = key.toString().replace("\0", "");
      const name = nameOf(table);
      this.#try(() => {
        expect(`${name}: flags`, flags, valueFlags.tree);
        expect(`${name}: bytes of its record`, value.length, treeBytes);
        tables.set(table, treeAt(value, 0));
      });
    }
    return tables;
  }

  *#entriesOf(table: string, tree: Tree): Generator<Entry, void, void> {
    const name = nameOf(table);
    for (const entry of this.#readTree(readingOf(name, tree, Buffer.compare), tree, 0)) {
      const flags = entry.flags & ~valueFlags.large;
      if (flags === 0) yield entry;
      else this.#onDamage(new DamagedPages(`${name}: flags of an entry: ${flags}; expected 0`));
    }
  }

  *#readTree(reading: Reading, tree: Tree, flags: number): Generator<FlaggedEntry, void, void> {
    const { name, found } = reading;
    const { depth, root, branchPages, leafPages, largePages, entries } = tree;
    const isSound = this.#try(() => {
      expect(`${name}: flags`, tree.flags, flags);
      if (depth > maxDepth) throw new DamagedPages(`${name} has ${depth} levels; expected at most ${maxDepth}`);
      if (depth === 0) expect(`${name}: root`, root, noPage);
    });
    if (!isSound) return;
    if (depth > 0)
      for (const leaf of this.#readPage(reading, root, 1)) {
        for (let index = 0; index < leaf.count; index++) {
          const entry = index === leaf.without ? undefined : this.#readEntry(reading, leaf, index);
          if (entry) yield entry;
        }
      }
    this.#try(() => {
      expect(`${name}: branch pages`, branchPages, found.branchPages);
      expect(`${name}: leaf pages`, leafPages, found.leafPages);
      expect(`${name}: large pages`, largePages, found.largePages);
      expect(`${name}: entries`, entries, found.entries);
    });
  }

  /** The leaves in a page of a tree, and in all below it. Its keys are from `low` on, and below `high`. */
  *#readPage(
    reading: Reading,
    number: number,
    level: number,
    low?: Buffer,
    high?: Buffer,
  ): Generator<Leaf, void, void> {
    const what = `page ${number} of ${reading.name}`;
    const isLeaf = level === reading.depth;
    reading.pages[level] ??= Buffer.alloc(this.#file.header.pageBytes);
    const page = reading.pages[level];
    let count = 0;
    let without: number | undefined;
    const isSound = this.#try(() => {
      count = this.#file.readPage(page, number, isLeaf, what);
      const keys = { page, count, isLeaf, compare: reading.compare, low, high };
      const disorder = disorderIn(keys);
      if (disorder) {
        const damage = new DamagedPages(`${what}: ${disorder.words}`);
        without = isLeaf ? strayKey(keys, disorder.index) : undefined;
        if (without === undefined) throw damage;
        this.#onDamage(damage);
      }
      this.#file.take(number, 1, what);
    });
    if (!isSound) return;
    if (isLeaf) {
      reading.found.leafPages += 1;
      yield { page, count, what, without };
      return;
    }
    reading.found.branchPages += 1;
    for (let index = 0; index < count; index++) {
      const child = page.readUIntLE(nodeAt(page, index), 6);
      const from = index === 0 ? low : keyOf(page, index);
      yield* this.#readPage(reading, child, level + 1, from, index + 1 < count ? keyOf(page, index + 1) : high);
    }
  }

  /** `undefined` where its value is damaged. */
  #readEntry(reading: Reading, { page, what }: Leaf, index: number): FlaggedEntry | undefined {
    const at = nodeAt(page, index);
    const flags = page.readUInt16LE(at + 4);
    const valueAt = at + nodeHeaderBytes + page.readUInt16LE(at + 6);
    const valueBytes = page.readUInt32LE(at);
    reading.found.entries += 1;
    const key = keyOf(page, index);
    if (!(flags & valueFlags.large)) return { key, value: page.subarray(valueAt, valueAt + valueBytes), flags };
    let value: Buffer | undefined;
    this.#try(() => {
      const [first, commit, pages] = [0, 8, 16].map((at) => numberAt(page, valueAt + at)) as [number, number, number];
      const large = { page: first, commit, pages, bytes: valueBytes };
      reading.large = this.#file.readLarge(large, reading.large, `page ${first} after ${what}`);
      reading.found.largePages += pages;
      value = reading.large.subarray(pageHeaderBytes, pageHeaderBytes + valueBytes);
    });
    return value && { key, value, flags };
  }

  /** The lists of pages that are free, one for each of some commits: nothing of them may be in use, nor be free twice. */
  #readFree(tree: Tree): void {
    const free: { first: number; count: number; what: string }[] = [];
    const flags = numberKeys | (tree.flags & noFolder);
    for (const { key, value } of this.#readTree(readingOf("the free pages", tree, byCommit), tree, flags)) {
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
    }
    let endsAt = this.#file.count;
    for (const { first, count, what } of free.sort((a, b) => a.first - b.first)) {
      this.#file.takeFree(first, count, `page ${first} in ${what}`);
      if (first <= endsAt) endsAt = Math.max(endsAt, first + count);
    }
    // What was never written to may be missing.
    const { lastPage } = this.#file.header;
    if (endsAt <= lastPage)
      throw new DamagedPages(`page ${endsAt}: the file ends there; expected ${lastPage + 1} pages`);
  }

  /** Whether something is as it must be; where it is not, that is told. */
  #try(check: () => void): boolean {
    try {
      check();
      return true;
    } catch (error) {
      if (!(error instanceof DamagedPages)) throw error;
      this.#onDamage(error);
      return false;
    }
  }
}

function raise(damage: DamagedPages): never {
  throw damage;
}

function nameOf(table: string): string {
  return `table ${JSON.stringify(table)}`;
}

function readingOf(name: string, { depth }: Tree, compare: Reading["compare"]): Reading {
  const found = { branchPages: 0, leafPages: 0, largePages: 0, entries: 0 };
  return { name, depth, compare, found, pages: [], large: Buffer.alloc(0) };
}

/** Where the keys of a page are out of order; `undefined` where they are not. @param without is passed over */
function disorderIn({ page, count, isLeaf, compare, low, high }: PageKeys, without?: number): Disorder | undefined {
  let last = low;
  // A branch page says nothing by its first key: what is below it begins where the page does.
  for (let index = isLeaf ? 0 : 1; index < count; index++) {
    if (index === without) continue;
    const key = keyOf(page, index);
    const order = last ? compare(last, key) : -1;
    if (order > 0 || (order === 0 && index > 0)) return { index, words: "its keys are not in order" };
    last = key;
  }
  const isBelow = !last || !high || compare(last, high) < 0;
  return isBelow ? undefined : { index: count - 1, words: "its keys are not below those that follow" };
}

/** The one key without which the others are in order; `undefined` where more is wrong. */
function strayKey(keys: PageKeys, index: number): number | undefined {
  return [index, index - 1].find((stray) => !disorderIn(keys, stray));
}

function byCommit(a: Buffer, b: Buffer): number {
  return commitOf(a) - commitOf(b);
}

/** The commit that a list of free pages is of, by its key. */
function commitOf(key: Buffer): number {
  expect("the free pages: bytes of a key", key.length, 8);
  return numberAt(key, 0);
}
