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
import { byCommit, type FreePages, freePagesIn } from "./free-pages.js";
import { disorderIn, type KeyRange, strayKey } from "./key-order.js";
import { type LostLeaves, type LostRange, leavesIn, lostLeaves } from "./lost-leaves.js";
import { type CommitChoice, DamagedPages, expect, PageFile } from "./page-file.js";

/** What a table has under a key. Both are there until the next one is asked for. */
export interface Entry {
  readonly key: Buffer;
  readonly value: Buffer;
  /** Whether its key is not in the order of those beside it, and so is damaged. */
  readonly isStray: boolean;
}

/** Whether an entry of a table is what was put there, where whoever put it can tell: by a checksum, over the key too. */
export type EntryCheck = (table: string, entry: Entry) => boolean;

/** How a file is read. */
export interface ReadOptions {
  /** The tables that it may have: another name is a damaged one. */
  readonly tables: readonly string[];
  /** Hears of what is damaged; reading goes on behind it, or ends where this throws. Default: throws. */
  readonly onDamage?: (damage: DamagedPages) => void;
  /** As of which it is read. Default: the last one. */
  readonly commit?: CommitChoice;
  /** The leaves that its trees have lost. Without it, it is read as if no page were free. */
  readonly lost?: LostLeaves | undefined;
}

/** An entry as its leaf has it. */
interface FlaggedEntry extends Entry {
  readonly flags: number;
}

/** A tree while it is read. */
interface Reading {
  readonly name: string;
  /** Whether it is a table, and not a list of tables or of free pages. */
  readonly isTable: boolean;
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
  readonly stray: number | undefined;
}

/** More levels than LMDB follows. */
const maxDepth = 32;

/**
 * Reads the data file of an LMDB environment page by page, without LMDB, which trusts each length and each page number that it finds there: one wrong bit can have it
 * read and write beyond its memory, or use a page twice. All that LMDB follows is compared with what it must be. Whether keys and values are what was put there is for who put them to
 * say (`EntryCheck`). Nobody may write to the file meanwhile. Whoever makes it closes it.
 */
export class LmdbFile {
  readonly #file: PageFile;
  readonly #tableNames: readonly string[];
  readonly #onDamage: (damage: DamagedPages) => void;
  readonly #lost: LostLeaves | undefined;
  /** Where no page could be read so far. */
  readonly #lostRanges: LostRange[] = [];

  /** @throws DamagedPages where the first header is damaged, or there is none of the commit that is asked for */
  constructor(file: string, { tables, onDamage = raise, commit = "last", lost }: ReadOptions) {
    this.#file = new PageFile(file, commit);
    this.#tableNames = tables;
    this.#onDamage = onDamage;
    this.#lost = lost;
  }

  /** Whether the last commit is there, as far as the headers tell; see `PageFile`. */
  get hasBothHeaders(): boolean {
    return this.#file.hasBothHeaders;
  }

  close(): void {
    this.#file.close();
  }

  // Of the following, one is to be called, and once: no page is given out twice.

  /**
   * Reads all of it.
   *
   * @returns what is wrong with an entry, in pages that are sound; `undefined` where nothing is
   */
  check(isWritten: EntryCheck = () => true): string | undefined {
    const { header, lastPage } = this.#file;
    expect("the last page", header.lastPage, lastPage);
    let problem: string | undefined;
    for (const [name, tree] of this.#tables())
      for (const entry of this.#entriesOf(name, tree))
        if (!isWritten(name, entry))
          problem ??= `${nameOf(name)}: what is under the key ${entry.key.toString("hex")} is not what was written`;
    this.#readFree();
    return problem;
  }

  /** Reads the pages without which nothing of a table can be found: the list of tables, and a table's only page. */
  checkRoots(): void {
    const page = Buffer.alloc(this.#file.header.pageBytes);
    for (const [name, { root, depth }] of this.#tables())
      if (depth === 1) this.#file.readPage(page, root, true, `page ${root} of ${nameOf(name)}`);
  }

  /** Reads all tables, and gives back how many entries they have. */
  readAll(): number {
    let entries = 0;
    for (const [name, tree] of this.#tables()) for (const _ of this.#entriesOf(name, tree)) entries += 1;
    return entries;
  }

  /** Reads all tables, to find the leaves that they have lost; and how many entries there are, with those in these. */
  findLost(): { lost: LostLeaves; entries: number } {
    // First what is free: there lie pages of earlier commits, to which a number that is damaged may lead.
    const isFreeKnown = this.#try(() => this.#readFree());
    const entries = this.readAll();
    const lost = lostLeaves(this.#file, isFreeKnown ? this.#lostRanges : []);
    const inLost = [...lost.values()].flat().reduce((sum, { count }) => sum + count, 0);
    return { lost, entries: entries + inLost };
  }

  /** What can be read of some tables, each in the order of its keys. Several can be read side by side. */
  readTables<Name extends string>(names: readonly Name[]): Record<Name, IterableIterator<Entry>> {
    if (this.#lost) this.#try(() => this.#readFree());
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
    const reading = readingOf("the table of tables", main);
    for (const { key, value, flags } of this.#readTree(reading, main, 0)) {
      const table = key.toString().replace("\0", "");
      const name = nameOf(table);
      this.#try(() => {
        if (!this.#tableNames.includes(table)) throw new DamagedPages(`there is a ${name}`);
        expect(`${name}: flags`, flags, valueFlags.tree);
        expect(`${name}: bytes of its record`, value.length, treeBytes);
        tables.set(table, treeAt(value, 0));
      });
    }
    return tables;
  }

  *#entriesOf(table: string, tree: Tree): Generator<Entry, void, void> {
    const name = nameOf(table);
    for (const entry of this.#readTree({ ...readingOf(name, tree), isTable: true }, tree, 0)) {
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
    if (depth > 0 || !isSound)
      for (const leaf of isSound ? this.#readPage(reading, root, 1, {}) : this.#readLost(reading, {})) {
        for (let index = 0; index < leaf.count; index++) {
          const entry = this.#readEntry(reading, leaf, index);
          if (entry) yield entry;
        }
      }
    if (!isSound) return;
    this.#try(() => {
      expect(`${name}: branch pages`, branchPages, found.branchPages);
      expect(`${name}: leaf pages`, leafPages, found.leafPages);
      expect(`${name}: large pages`, largePages, found.largePages);
      expect(`${name}: entries`, entries, found.entries);
    });
  }

  /**
   * The leaves in a page of a tree, and in all below it, whose keys are in a range.
   *
   * @param around where its keys may be if the damage is in an end of the range
   */
  *#readPage(
    reading: Reading,
    number: number,
    level: number,
    range: KeyRange,
    around = range,
  ): Generator<Leaf, void, void> {
    const what = `page ${number} of ${reading.name}`;
    const isLeaf = level === reading.depth;
    reading.pages[level] ??= Buffer.alloc(this.#file.header.pageBytes);
    const page = reading.pages[level];
    let count = 0;
    let stray: number | undefined;
    const isSound = this.#try(() => {
      count = this.#file.readPage(page, number, isLeaf, what);
      const keys = { page, count, isLeaf, compare: reading.compare, range };
      const disorder = disorderIn(keys);
      if (disorder) {
        const damage = new DamagedPages(`${what}: ${disorder.words}`);
        stray = isLeaf ? strayKey(keys, disorder.index) : undefined;
        if (stray === undefined) throw damage;
        this.#onDamage(damage);
      }
      this.#file.take(number, 1, what);
    });
    if (!isSound) {
      yield* this.#readLost(reading, around);
      return;
    }
    if (isLeaf) {
      reading.found.leafPages += 1;
      yield { page, count, what, stray };
      return;
    }
    reading.found.branchPages += 1;
    for (let index = 0; index < count; index++) {
      const child = page.readUIntLE(nodeAt(page, index), 6);
      const keyAt = (at: number) => (at < 1 ? range.low : at < count ? keyOf(page, at) : range.high);
      const own = { low: keyAt(index), high: keyAt(index + 1) };
      yield* this.#readPage(reading, child, level + 1, own, { low: keyAt(index - 1), high: keyAt(index + 2) });
    }
  }

  /** The leaves in a range that the tree does not lead to. */
  *#readLost({ name, isTable, found }: Reading, range: KeyRange): Generator<Leaf, void, void> {
    if (!isTable) return;
    const { low, high } = range;
    this.#lostRanges.push({ table: name, low: low && Buffer.from(low), high: high && Buffer.from(high) });
    for (const leaf of leavesIn(this.#lost?.get(name) ?? [], range)) {
      if (this.#file.isTaken(leaf.number)) continue;
      const page = Buffer.alloc(this.#file.header.pageBytes);
      const what = `page ${leaf.number} of ${name}`;
      const isSound = this.#try(() => {
        this.#file.readPage(page, leaf.number, true, what);
        this.#file.take(leaf.number, 1, what);
      });
      if (!isSound) continue;
      found.leafPages += 1;
      yield { page, count: leaf.count, what, stray: undefined };
    }
  }

  /** `undefined` where its value is damaged. */
  #readEntry(reading: Reading, { page, what, stray }: Leaf, index: number): FlaggedEntry | undefined {
    const at = nodeAt(page, index);
    const flags = page.readUInt16LE(at + 4);
    const valueAt = at + nodeHeaderBytes + page.readUInt16LE(at + 6);
    const valueBytes = page.readUInt32LE(at);
    reading.found.entries += 1;
    const key = keyOf(page, index);
    const isStray = index === stray;
    if (!(flags & valueFlags.large))
      return { key, value: page.subarray(valueAt, valueAt + valueBytes), flags, isStray };
    let value: Buffer | undefined;
    this.#try(() => {
      const [first, commit, pages] = [0, 8, 16].map((at) => numberAt(page, valueAt + at)) as [number, number, number];
      const large = { page: first, commit, pages, bytes: valueBytes };
      reading.large = this.#file.readLarge(large, reading.large, `page ${first} after ${what}`);
      reading.found.largePages += pages;
      value = reading.large.subarray(pageHeaderBytes, pageHeaderBytes + valueBytes);
    });
    return value && { key, value, flags, isStray };
  }

  /** The pages that are free: nothing of them may be in use, nor be free twice. */
  #readFree(): void {
    const free: FreePages[] = [];
    const { free: tree } = this.#file.header;
    const flags = numberKeys | (tree.flags & noFolder);
    const reading = { ...readingOf("the free pages", tree), compare: byCommit };
    for (const { key, value } of this.#readTree(reading, tree, flags)) free.push(...freePagesIn(key, value));
    let endsAt = this.#file.count;
    for (const { first, count, what } of free.sort((a, b) => a.first - b.first)) {
      this.#file.takeFree(first, count, `page ${first} in ${what}`);
      if (first <= endsAt) endsAt = Math.max(endsAt, first + count);
    }
    // What was never written to may be missing.
    const { lastPage } = this.#file;
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

function readingOf(name: string, { depth }: Tree): Reading {
  const found = { branchPages: 0, leafPages: 0, largePages: 0, entries: 0 };
  return { name, isTable: false, depth, compare: Buffer.compare, found, pages: [], large: Buffer.alloc(0) };
}
