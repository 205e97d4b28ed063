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
  readonly aside?: { readonly file: string; readonly bytes: number };
}

/** How much of the end is looked at. */
const windowBytes = 16 * maxAuditLineBytes;

/**
 * Finds the last entry of an audit file. What stands behind it, usually a line that a crash tore, is copied to `<file>.torn-<n>` and flushed there before the file
 * is cut; a file that ends in nothing like an audit is put aside whole. An entry that was altered stays where it is, for the verifier to find. An empty file goes on behind
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
    const { from, window } = await readEnd(handle, size);
    const last = lastEntry(window, from === 0);
    if (!last) {
      const aside = await freeName(file);
      await rename(file, aside);
      await syncFolder(path.dirname(file));
      return { ...(await begin(file)), aside: { file: aside, bytes: size } };
    }
    const lengthBytes = from + last.endsAt;
    const { head, lastTimeMs } = last;
    if (lengthBytes === size) return { head, lastTimeMs, lengthBytes };
    const aside = await freeName(file, window.subarray(last.endsAt));
    await syncFolder(path.dirname(file));
    await handle.truncate(lengthBytes);
    await handle.sync();
    return { head, lastTimeMs, lengthBytes, aside: { file: aside, bytes: size - lengthBytes } };
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
    const { from, window } = await readEnd(handle, (await handle.stat()).size);
    const last = lastEntry(window, from === 0);
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

/** Makes a file `<file>.torn-<n>` that was not there, with these bytes; never overwrites one. */
async function freeName(file: string, content: Buffer = Buffer.alloc(0)): Promise<string> {
  for (let n = 1; ; n += 1) {
    const name = `${file}.torn-${n}`;
    try {
      const handle = await open(name, "wx");
      try {
        await handle.writeFile(content);
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

async function readEnd(handle: FileHandle, size: number): Promise<{ from: number; window: Buffer }> {
  const from = Math.max(0, size - windowBytes);
  return { from, window: await readAll(handle, from, size - from) };
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
