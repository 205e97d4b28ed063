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

/** Those of each table, in the order of their keys. */
export type LostLeaves = ReadonlyMap<string, readonly LostLeaf[]>;

/**
 * Finds the leaves that belong to damaged trees, but that these do not lead to: they are in pages that are neither in use nor free, and have keys that are lost in one table. One that
 * may be of several is left out: pages do not say of which table they are.
 *
 * @param file in which all pages are taken that trees lead to, or that are free
 */
export function lostLeaves(file: PageFile, ranges: readonly LostRange[]): LostLeaves {
  const found = new Map<string, LostLeaf[]>();
  if (ranges.length === 0) return found;
  const page = Buffer.alloc(file.header.pageBytes);
  for (const { number, count } of file.leavesLeft(page)) {
    if (disorderIn({ page, count, isLeaf: true, compare: Buffer.compare, range: {} })) continue;
    const leaf = { number, count, first: Buffer.from(keyOf(page, 0)), last: Buffer.from(keyOf(page, count - 1)) };
    const [table, another] = new Set(ranges.filter((range) => isIn(range, leaf)).map((range) => range.table));
    if (table === undefined || another !== undefined) continue;
    const ofTable = found.get(table) ?? [];
    ofTable.push(leaf);
    found.set(table, ofTable);
  }
  for (const leaves of found.values()) leaves.sort((a, b) => Buffer.compare(a.first, b.first));
  return found;
}

/** Whether all keys of a leaf are in a range. */
export function isIn({ low, high }: KeyRange, { first, last }: LostLeaf): boolean {
  return (!low || Buffer.compare(low, first) <= 0) && (!high || Buffer.compare(last, high) < 0);
}
