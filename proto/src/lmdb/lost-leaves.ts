import { keyOf } from "./format.js";
import { disorderIn, type KeyRange } from "./key-order.js";
import type { PageFile } from "./page-file.js";

/** Keys of a table of which nothing could be read. */
export interface LostRange extends KeyRange {
  readonly table: string;
}

/** A leaf that no tree leads to, and its first and last key. */
export interface LostLeaf {
  readonly number: number;
  /** How many entries it has. */
  readonly count: number;
  readonly first: Buffer;
  readonly last: Buffer;
}

/** A leaf that no tree leads to, and the tables that it may be of. */
interface Candidate extends LostLeaf {
  readonly tables: Set<string>;
}

/** Those of each table, in the order of their keys. */
export type LostLeaves = ReadonlyMap<string, readonly LostLeaf[]>;

/**
 * Finds the leaves that belong to damaged trees, but that these do not lead to: they are in pages that are neither in use nor free, and have keys that are lost in one table. One that
 * may be of several is left out: pages do not say of which table they are.
 *
 * @param file in which all pages are taken that trees lead to, or that are free
 */
export function lostLeaves(file: PageFile, ranges: readonly LostRange[]): LostLeaves {
  if (ranges.length === 0) return new Map();
  const leaves: Candidate[] = [];
  const page = Buffer.alloc(file.header.pageBytes);
  for (const { number, count } of file.leavesLeft(page)) {
    if (disorderIn({ page, count, isLeaf: true, compare: Buffer.compare, range: {} })) continue;
    const [first, last] = [Buffer.from(keyOf(page, 0)), Buffer.from(keyOf(page, count - 1))];
    leaves.push({ number, count, first, last, tables: new Set() });
  }
  leaves.sort((a, b) => Buffer.compare(a.first, b.first));
  for (const range of ranges) for (const { tables } of leavesIn(leaves, range)) tables.add(range.table);
  const ofOne = leaves.filter(({ tables }) => tables.size === 1);
  const names = new Set(ranges.map(({ table }) => table));
  return new Map(Array.from(names, (name) => [name, ofOne.filter(({ tables }) => tables.has(name))]));
}

/** Those of some leaves, in their order, whose keys are all in a range. */
export function* leavesIn<Leaf extends LostLeaf>(
  leaves: readonly Leaf[],
  { low, high }: KeyRange,
): Generator<Leaf, void, void> {
  let from = 0;
  for (let end = leaves.length; low && from < end; ) {
    const middle = (from + end) >> 1;
    if (Buffer.compare((leaves[middle] as Leaf).first, low) < 0) from = middle + 1;
    else end = middle;
  }
  for (let index = from; index < leaves.length; index++) {
    const leaf = leaves[index] as Leaf;
    if (high && Buffer.compare(leaf.first, high) >= 0) return;
    if (!high || Buffer.compare(leaf.last, high) < 0) yield leaf;
  }
}
