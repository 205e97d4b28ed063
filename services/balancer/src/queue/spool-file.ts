import { readFileSync, statSync } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { maxPartDataBytes } from "@bilancia/proto/limits";
import { errorCode, isShortage } from "@bilancia/proto/system-error";
import { crc32c } from "@node-rs/crc32";
import { ContentUnreadable } from "../ports/content.js";
import { flushed } from "./flush-failed.js";
import type { Piece } from "./piece.js";

/** Thrown when the spool's bytes are not what was written, or the disk does not give them out. */
export class DamagedSpool extends ContentUnreadable {}

/** What stands in the index for one piece: its length and its CRC-32C, 4 bytes each, little-endian. */
const indexEntryBytes = 8;

/**
 * The bytes of one upload on disk: `<number>.part` holds them as they are, `<number>.index` the length and CRC-32C of each piece. The index is written after the
 * bytes, so whatever it names is there, up to a loss of power; what a loss of power took is found by the CRC.
 */
export class SpoolFile {
  readonly #path: string;
  /** One opening for all who use it: two at the same time would leave one pair of handles behind. */
  #opening: Promise<Handles> | undefined;
  #pieces: number;
  /** Whether what an earlier run left behind the usable pieces has been cut off. */
  #trimmed = false;
  #closed = false;
  readonly #onUnclosed: (error: unknown) => void;
  #keptOpen = true;
  #usesCount = 0;

  /**
   * @param path without its ending
   * @param onUnclosed told where it could not be closed between two uses: what was written in the last one may be lost
   */
  constructor(path: string, pieces = 0, onUnclosed: (error: unknown) => void = () => {}) {
    this.#path = path;
    this.#pieces = pieces;
    this.#onUnclosed = onUnclosed;
  }

  /** What an earlier run left at a path; empty where there is nothing usable. @throws Error where it cannot be told */
  static piecesAt(path: string): Piece[] {
    const pieces: Piece[] = [];
    let index: Buffer;
    let sizeBytes: number;
    try {
      index = readFileSync(`${path}.index`);
      sizeBytes = statSync(`${path}.part`).size;
    } catch (error) {
      if (["ENOENT", "EIO"].includes(errorCode(error))) return [];
      throw error;
    }
    let offset = 0;
    for (let at = 0; at + indexEntryBytes <= index.length; at += indexEntryBytes) {
      const length = index.readUInt32LE(at);
      if (length === 0 || length > maxPartDataBytes || offset + length > sizeBytes) break;
      pieces.push({
        offset,
        length,
        crc32c: index.readUInt32LE(at + 4),
        data: undefined,
        raw: undefined,
        written: true,
      });
      offset += length;
    }
    return pieces;
  }

  /** Appends pieces, whose data is in memory. */
  async append(pieces: readonly Piece[]): Promise<void> {
    const [first] = pieces;
    if (!first) return;
    await this.#use((handles) => this.#append(pieces, first.offset, handles));
  }

  async #append(pieces: readonly Piece[], offset: number, { data, index }: Handles): Promise<void> {
    if (!this.#trimmed) {
      // A loss of power may have left whole entries behind a torn one: behind what is written now, a later start would take them for pieces of this file.
      await cutTo(index, this.#pieces * indexEntryBytes);
      await cutTo(data, offset);
      this.#trimmed = true;
    }
    await writeFully(
      data,
      pieces.map((piece) => piece.data as Uint8Array),
      offset,
    );
    const entries = Buffer.allocUnsafe(pieces.length * indexEntryBytes);
    for (const [at, piece] of pieces.entries()) {
      entries.writeUInt32LE(piece.length, at * indexEntryBytes);
      entries.writeUInt32LE(piece.crc32c, at * indexEntryBytes + 4);
    }
    await writeFully(index, [entries], this.#pieces * indexEntryBytes);
    this.#pieces += pieces.length;
  }

  /**
   * Reads a piece into `data`, which has its length.
   *
   * @throws DamagedSpool
   * @throws ContentUnreadable where that will pass
   */
  async read(piece: Piece, data: Uint8Array): Promise<void> {
    const what = `the spooled bytes ${piece.offset}-${piece.offset + piece.length}`;
    let bytesRead: number;
    try {
      bytesRead = await this.#use(async (handles) => {
        return (await handles.data.read(data, 0, piece.length, piece.offset)).bytesRead;
      });
    } catch (error) {
      const words = `${what} cannot be read (${errorCode(error) || (error as Error).message})`;
      throw isShortage(error) ? new ContentUnreadable(words) : new DamagedSpool(words);
    }
    if (bytesRead !== piece.length || crc32c(data) !== piece.crc32c)
      throw new DamagedSpool(`${what} are damaged on disk`);
  }

  /** Flushes bytes and index to disk. The folder's entry is the caller's business. @throws FlushFailed */
  async flush(): Promise<void> {
    await this.#use(({ data, index }) => flushed(Promise.all([data.datasync(), index.datasync()])));
  }

  /** Whether it stays open between uses; where it does not, the next one opens it again. Default: true. */
  keepOpen(keptOpen: boolean): void {
    this.#keptOpen = keptOpen;
    this.#closeIfUnused();
  }

  close(): Promise<void> {
    return this.#end(async () => {});
  }

  async remove(): Promise<void> {
    await this.#end(async () => {
      await Promise.all([rm(`${this.#path}.part`, { force: true }), rm(`${this.#path}.index`, { force: true })]);
    });
  }

  /** @param beforeClose what is done once nobody can open the files any more, and before they are closed: what has lost its name is not written to disk then */
  async #end(beforeClose: () => Promise<void>): Promise<void> {
    this.#closed = true;
    const handles = await this.#takeHandles();
    try {
      await beforeClose();
    } finally {
      await handles?.close();
    }
  }

  async #use<T>(use: (handles: Handles) => Promise<T>): Promise<T> {
    this.#usesCount += 1;
    try {
      return await use(await this.#open());
    } finally {
      this.#usesCount -= 1;
      this.#closeIfUnused();
    }
  }

  #closeIfUnused(): void {
    if (this.#keptOpen || this.#usesCount > 0 || !this.#opening) return;
    this.#takeHandles()
      .then((handles) => handles?.close())
      .catch(this.#onUnclosed);
  }

  /** The handles, for who closes them: the next use opens others. */
  async #takeHandles(): Promise<Handles | undefined> {
    const opening = this.#opening;
    this.#opening = undefined;
    // What could not be opened need not be closed.
    return opening?.catch(() => undefined);
  }

  async #open(): Promise<Handles> {
    if (this.#closed) throw new Error("the spool file is closed");
    this.#opening ??= openBoth(this.#path);
    const opening = this.#opening;
    try {
      return await opening;
    } catch (error) {
      // The next use tries again: a full disk or a lack of handles passes.
      if (this.#opening === opening) this.#opening = undefined;
      throw error;
    }
  }
}

class Handles {
  constructor(
    readonly data: FileHandle,
    readonly index: FileHandle,
  ) {}

  async close(): Promise<void> {
    await Promise.all([this.data.close(), this.index.close()]);
  }
}

async function openBoth(path: string): Promise<Handles> {
  // "r+" would refuse a new file, "w+" would empty an old one, "a+" would ignore positions.
  const data = await openOrCreate(`${path}.part`);
  try {
    return new Handles(data, await openOrCreate(`${path}.index`));
  } catch (error) {
    await data.close();
    throw error;
  }
}

async function openOrCreate(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    return open(path, "wx+", 0o600);
  }
}

/** ext4 writes all of a file to disk when it is closed, if it has ever been cut to nothing: even if it was empty then, or is about to be removed. */
async function cutTo(handle: FileHandle, length: number): Promise<void> {
  const { size } = await handle.stat();
  if (size > length) await handle.truncate(length);
}

async function writeFully(handle: FileHandle, buffers: Uint8Array[], position: number): Promise<void> {
  const total = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
  const { bytesWritten } = await handle.writev(buffers, position);
  if (bytesWritten === total) return;
  // A short write: the rest in one piece, once more, so that a full disk says ENOSPC.
  const rest = Buffer.concat(buffers).subarray(bytesWritten);
  const again = await handle.write(rest, 0, rest.length, position + bytesWritten);
  if (again.bytesWritten !== rest.length) throw new Error("the spool could not be written in full");
}
