import { type FileHandle, open, rename } from "node:fs/promises";
import path from "node:path";
import { type ChainHead, chainStart, maxAuditLineBytes, parseEntry } from "@bilancia/proto/audit-chain";
import { fullAuditFiles } from "@bilancia/proto/audit-files";
import { syncFolder } from "@bilancia/proto/folder";

/** Where an audit file goes on, and what had to be put aside for that. */
export interface AuditTail {
  readonly head: ChainHead;
  /** When the last entry was made, in Unix milliseconds; `undefined` in an empty file. */
  readonly lastTimeMs: number | undefined;
  readonly lengthBytes: number;
  /** `whole`: there was no entry in the file, though there were lines, and the entries that were in it are gone. */
  readonly aside?: { readonly file: string; readonly bytes: number; readonly whole: boolean };
}

/** How much is looked at, and copied, at a time. */
const windowBytes = 16 * maxAuditLineBytes;

/**
 * Finds the last entry of an audit file. What stands behind it, usually a line that a crash tore, is copied to `<file>.torn-<n>` and flushed there before the file
 * is cut; a file without any entry is put aside whole. An entry that was altered stays where it is, for the verifier to find. An empty file goes on behind
 * the last full one.
 */
export async function mendTail(file: string): Promise<AuditTail> {
  let handle: FileHandle;
  try {
    handle = await open(file, "r+");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return begin(file);
    throw error;
  }
  try {
    const { size } = await handle.stat();
    if (size === 0) return begin(file);
    const { last, hasLines } = await findLast(handle, size);
    if (!last) {
      const aside = await freeName(file);
      await rename(file, aside);
      await syncFolder(path.dirname(file));
      return { ...(await begin(file)), aside: { file: aside, bytes: size, whole: hasLines } };
    }
    const { head, lastTimeMs, endsAt: lengthBytes } = last;
    if (lengthBytes === size) return { head, lastTimeMs, lengthBytes };
    const aside = await freeName(file, (copy) => copyFrom(handle, lengthBytes, size, copy));
    await syncFolder(path.dirname(file));
    await handle.truncate(lengthBytes);
    await handle.sync();
    return { head, lastTimeMs, lengthBytes, aside: { file: aside, bytes: size - lengthBytes, whole: false } };
  } finally {
    await handle.close();
  }
}

/** Where an empty file begins: behind the last full one, or at the start of the chain. */
async function begin(file: string): Promise<AuditTail> {
  const full = (await fullAuditFiles(file)).at(-1);
  if (full === undefined) return { head: chainStart, lastTimeMs: undefined, lengthBytes: 0 };
  const handle = await open(full, "r");
  try {
    const { last } = await findLast(handle, (await handle.stat()).size);
    if (!last) throw new Error(`${full} does not end in an entry of the audit; put it elsewhere to begin a new chain`);
    return { head: last.head, lastTimeMs: undefined, lengthBytes: 0 };
  } finally {
    await handle.close();
  }
}

interface LastEntry {
  readonly head: ChainHead;
  readonly lastTimeMs: number;
  readonly endsAt: number;
}

/** Looks for the last entry from the end on, however far it is: there may be no end to what a disk, or another program, has left behind it. */
async function findLast(handle: FileHandle, size: number): Promise<{ last?: LastEntry; hasLines: boolean }> {
  let hasLines = false;
  for (let from = size, to = size; from > 0; ) {
    from = Math.max(0, from - windowBytes);
    const window = await readAll(handle, from, to - from);
    const last = lastEntry(window, from === 0);
    if (last) return { last: { ...last, endsAt: from + last.endsAt }, hasLines: true };
    hasLines ||= window.includes(10);
    // A line that begins before this window ends in the next one.
    to = Math.min(size, from + maxAuditLineBytes + 1);
  }
  return { hasLines };
}

/** The last entry in a piece of the file, and where it ends there, behind its line's end. */
function lastEntry(window: Buffer, fromBeginning: boolean): LastEntry | undefined {
  let altered: { hash: string; seq: number; timeMs: number; endsAt: number; lines: number } | undefined;
  for (let end = window.lastIndexOf(10); end >= 0; ) {
    const before = end === 0 ? -1 : window.lastIndexOf(10, end - 1);
    // The piece may begin in the middle of a line.
    if (before < 0 && !fromBeginning) break;
    const parsed = parseEntry(window.subarray(before + 1, end));
    if (altered) altered.lines += 1;
    if (parsed.kind === "entry") {
      const { seq, hash, timeMs: lastTimeMs } = parsed.entry;
      if (!altered) return { head: { seq, hash }, lastTimeMs, endsAt: end + 1 };
      return { head: { seq: seq + altered.lines, hash: altered.hash }, lastTimeMs, endsAt: altered.endsAt };
    }
    // The number of an altered entry may be what was altered: it is counted from the last good one.
    if (parsed.kind === "changed") altered ??= { ...parsed.entry, endsAt: end + 1, lines: 0 };
    end = before;
  }
  if (!altered) return undefined;
  const { seq, hash, timeMs: lastTimeMs, endsAt } = altered;
  return { head: { seq, hash }, lastTimeMs, endsAt };
}

/** Makes a file `<file>.torn-<n>` that was not there, and has it filled; never overwrites one. */
async function freeName(file: string, fill?: (handle: FileHandle) => Promise<void>): Promise<string> {
  for (let n = 1; ; n += 1) {
    const name = `${file}.torn-${n}`;
    try {
      const handle = await open(name, "wx");
      try {
        await fill?.(handle);
        await handle.sync();
      } finally {
        await handle.close();
      }
      return name;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}

async function copyFrom(handle: FileHandle, from: number, to: number, copy: FileHandle): Promise<void> {
  for (let at = from; at < to; at += windowBytes) {
    await copy.writeFile(await readAll(handle, at, Math.min(windowBytes, to - at)));
  }
}

async function readAll(handle: FileHandle, from: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  let read = 0;
  while (read < bytes) {
    const { bytesRead } = await handle.read(buffer, read, bytes - read, from + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return buffer.subarray(0, read);
}
