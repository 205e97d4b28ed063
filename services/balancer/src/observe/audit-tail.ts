import { type FileHandle, open, rename } from "node:fs/promises";
import path from "node:path";
import { type ChainHead, chainStart, maxAuditLineBytes, parseEntry } from "@bilancia/proto/audit-chain";

/** Where an audit file goes on, and what had to be put aside for that. */
export interface AuditTail {
  readonly head: ChainHead;
  readonly lengthBytes: number;
  readonly aside?: { readonly file: string; readonly bytes: number };
}

/** How much of the end is looked at. */
const windowBytes = 16 * maxAuditLineBytes;

/**
 * Finds the last entry of an audit file. What stands behind it, usually a line that a crash tore, is copied to `<file>.torn-<n>` and flushed there before the file
 * is cut; a file that ends in nothing like an audit is put aside whole. An entry that was altered stays where it is, for the verifier to find.
 */
export async function mendTail(file: string): Promise<AuditTail> {
  let handle: FileHandle;
  try {
    handle = await open(file, "r+");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { head: chainStart, lengthBytes: 0 };
    throw error;
  }
  try {
    const { size } = await handle.stat();
    if (size === 0) return { head: chainStart, lengthBytes: 0 };
    const from = Math.max(0, size - windowBytes);
    const window = await readAll(handle, from, size - from);
    const last = lastEntry(window, from === 0);
    if (!last) {
      const aside = await freeName(file);
      await rename(file, aside);
      await syncFolder(file);
      return { head: chainStart, lengthBytes: 0, aside: { file: aside, bytes: size } };
    }
    const lengthBytes = from + last.endsAt;
    if (lengthBytes === size) return { head: last.head, lengthBytes };
    const aside = await freeName(file, window.subarray(last.endsAt));
    await syncFolder(file);
    await handle.truncate(lengthBytes);
    await handle.sync();
    return { head: last.head, lengthBytes, aside: { file: aside, bytes: size - lengthBytes } };
  } finally {
    await handle.close();
  }
}

/** The last entry in a piece of the file, and where it ends there, behind its line's end. */
function lastEntry(window: Buffer, fromBeginning: boolean): { head: ChainHead; endsAt: number } | undefined {
  let altered: { hash: string; seq: number; endsAt: number; lines: number } | undefined;
  for (let end = window.lastIndexOf(10); end >= 0; ) {
    const before = end === 0 ? -1 : window.lastIndexOf(10, end - 1);
    // The piece may begin in the middle of a line.
    if (before < 0 && !fromBeginning) break;
    const parsed = parseEntry(window.subarray(before + 1, end));
    if (altered) altered.lines += 1;
    if (parsed.kind === "entry") {
      const { seq, hash } = parsed.entry;
      if (altered) return { head: { seq: seq + altered.lines, hash: altered.hash }, endsAt: altered.endsAt };
      return { head: { seq, hash }, endsAt: end + 1 };
    }
    // The number of an altered entry may be what was altered: it is counted from the last good one.
    if (parsed.kind === "changed") altered ??= { ...parsed.entry, endsAt: end + 1, lines: 0 };
    end = before;
  }
  return altered && { head: { seq: altered.seq, hash: altered.hash }, endsAt: altered.endsAt };
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

async function syncFolder(file: string): Promise<void> {
  const folder = await open(path.dirname(file), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
