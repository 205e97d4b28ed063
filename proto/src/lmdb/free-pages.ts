import { numberAt } from "./format.js";
import { DamagedPages, expect } from "./page-file.js";

/** Pages in a row that are free. */
export interface FreePages {
  readonly first: number;
  readonly count: number;
  readonly what: string;
}

/** The pages in one of the lists of free pages: those that a commit gave back, which is its key. @throws DamagedPages */
export function freePagesIn(key: Buffer, value: Buffer): FreePages[] {
  const free: FreePages[] = [];
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
  return free;
}

/** The order of the lists. @throws DamagedPages */
export function byCommit(a: Buffer, b: Buffer): number {
  return commitOf(a) - commitOf(b);
}

function commitOf(key: Buffer): number {
  expect("the free pages: bytes of a key", key.length, 8);
  return numberAt(key, 0);
}
