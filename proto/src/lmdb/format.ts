import { endianness } from "node:os";

// The data file of lmdb-js (its `mdb.c`, format version 2), with numbers of 64 bits, little-endian. Lengths and places are in bytes.

/** Whether it is like that here: LMDB writes numbers as wide as a pointer, and in the order of the machine. */
export const isFormatHere = endianness() === "LE" && process.arch.includes("64");

export const pageHeaderBytes = 24;
export const nodeHeaderBytes = 8;
export const treeBytes = 48;
/** What is in a leaf in place of a value that has pages of its own: the first of them, the commit that wrote them, and how many they are. */
const largeRecordBytes = 24;
export const headerBytes = pageHeaderBytes + 136;

/** Those of the systems that Node runs on. The second header is in the second page. */
export const pageSizes: readonly number[] = [4096, 8192, 16384, 32768, 65536];

export const pageFlags = { branch: 1, leaf: 2, large: 4, header: 8 } as const;
export const valueFlags = { large: 1, tree: 2 } as const;
/** Of a tree whose keys are numbers of 64 bits. */
export const numberKeys = 8;
/** Of the tree of free pages, beside its own: LMDB keeps there that the environment was made without a folder. */
export const noFolder = 0x4000;
/** In the same place: that it is encrypted. Ours never is; LMDB goes by the first header here, even where it is the older one. */
const encrypted = 0x2000;
/** The root of a tree without anything in it. */
export const noPage = Number.POSITIVE_INFINITY;

/** The record of a B-tree: in a header, or in the table of tables. */
export interface Tree {
  readonly pad: number;
  readonly flags: number;
  readonly depth: number;
  readonly branchPages: number;
  readonly leafPages: number;
  readonly largePages: number;
  readonly entries: number;
  readonly root: number;
}

/** One of the two headers: what a commit left. */
export interface Header {
  readonly commit: number;
  readonly pageBytes: number;
  readonly lastPage: number;
  /** The lists of free pages, by the commit that freed them. */
  readonly free: Tree;
  /** The other trees, by name. */
  readonly main: Tree;
}

/** `undefined` where it is damaged. */
export function headerIn(page: Buffer): Header | undefined {
  const at = pageHeaderBytes;
  const free = treeAt(page, at + 24);
  const commit = numberAt(page, at + 128);
  const isWhole =
    (page.readUInt16LE(18) & pageFlags.header) !== 0 &&
    page.readUInt32LE(at) === 0xbeefc0de &&
    page.readUInt32LE(at + 4) === 2 &&
    // Where it is to be mapped: anywhere; and how much: no more than a process can.
    numberAt(page, at + 8) === 0 &&
    numberAt(page, at + 16) < 2 ** 46 &&
    pageSizes.includes(free.pad) &&
    (free.flags & encrypted) === 0 &&
    Number.isFinite(commit);
  if (!isWhole) return undefined;
  const main = treeAt(page, at + 24 + treeBytes);
  return { commit, pageBytes: free.pad, lastPage: numberAt(page, at + 120), free, main };
}

export function treeAt(bytes: Buffer, at: number): Tree {
  return {
    pad: bytes.readUInt32LE(at),
    flags: bytes.readUInt16LE(at + 4),
    depth: bytes.readUInt16LE(at + 6),
    branchPages: numberAt(bytes, at + 8),
    leafPages: numberAt(bytes, at + 16),
    largePages: numberAt(bytes, at + 24),
    entries: numberAt(bytes, at + 32),
    root: numberAt(bytes, at + 40),
  };
}

/** Where a node begins in its page. */
export function nodeAt(page: Buffer, index: number): number {
  return pageHeaderBytes + page.readUInt16LE(pageHeaderBytes + 2 * index);
}

/** How long a node is, with the byte that makes it even. */
export function nodeBytesAt(page: Buffer, at: number, isLeaf: boolean): number {
  const isLarge = (page.readUInt16LE(at + 4) & valueFlags.large) !== 0;
  const valueBytes = isLeaf ? (isLarge ? largeRecordBytes : page.readUInt32LE(at)) : 0;
  const bytes = nodeHeaderBytes + page.readUInt16LE(at + 6) + valueBytes;
  return bytes + (bytes % 2);
}

export function keyOf(page: Buffer, index: number): Buffer {
  const at = nodeAt(page, index);
  const keyAt = at + nodeHeaderBytes;
  return page.subarray(keyAt, keyAt + page.readUInt16LE(at + 6));
}

/** A number of 64 bits; infinite from 2^48 on, which is more than there is of anything. */
export function numberAt(bytes: Buffer, at: number): number {
  return bytes.readUInt16LE(at + 6) === 0 ? bytes.readUIntLE(at, 6) : Number.POSITIVE_INFINITY;
}
