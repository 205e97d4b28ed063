import { Condition } from "@bilancia/proto/condition";
import { crc32c } from "@node-rs/crc32";
import type { Chunk, Content, ContentReader } from "../ports/content.js";
import { FollowingReader } from "./following-reader.js";
import { type Piece, PieceList, toChunk, unreadChunk } from "./piece.js";
import { PieceWriter, writeBytes } from "./piece-writer.js";
import type { Spool } from "./spool.js";
import { SpoolFile } from "./spool-file.js";

/** Content beyond this is written to disk as it comes, in bytes. */
const memoryShareBytes = 512 * 1024;
/**
 * Content up to this is kept in the ledger, with its record, where it is to be on disk; larger content is in the spool's file, and is written there as it comes while memory is crowded. In bytes. A
 * file of its own for each smaller one would cost more than what it holds.
 */
export const smallBytes = 64 * 1024;
/** Bytes of one upload that may wait for the disk before its client has to wait; one write while memory is crowded. */
const maxUnwrittenBytes = 4 * 1024 * 1024;
/** Bytes that stay in memory for a reader close behind, although they are on disk; unless memory is crowded. */
const maxKeptBytes = 8 * 1024 * 1024;
/**
 * How far a client may be ahead of a reader that takes its file while it arrives. Further ahead, what it sends would leave the memory, and have to be
 * read back from disk, checked, and put into messages anew.
 */
const maxLeadBytes = 4 * 1024 * 1024;
/** What a reader is told of content that has been let go of. */
const ended = "the upload has ended";

/**
 * The bytes of one upload: taken in order, read in order by one reader at a time, from memory where they still are and else from the
 * spool's file. The CRC-32C of each piece is checked when it comes back from disk.
 */
export class UploadContent {
  readonly #spool: Spool;
  readonly #file: SpoolFile;
  readonly #onFailure: (error: unknown) => void;
  readonly #pieces = new PieceList();
  readonly #writer: PieceWriter;
  /** How many pieces an earlier run has left, and how many of these have been looked at since. */
  readonly #leftCount: number;
  #checkedCount = 0;
  #receivedBytes = 0;
  #memoryBytes = 0;
  #end: { readonly sha256: Uint8Array | undefined } | undefined;
  #dropped = false;
  #resting = false;
  #reader: FollowingReader | undefined;
  #stopWaiting: (() => void) | undefined;
  readonly #room = new Condition();

  /**
   * @param onFailure told once when the disk fails; the content is of no use then
   * @param left what an earlier run left of it on disk
   */
  constructor(spool: Spool, requestNumber: bigint, onFailure: (error: unknown) => void, left: readonly Piece[] = []) {
    this.#spool = spool;
    this.#file = new SpoolFile(spool.pathOf(requestNumber), left.length, (error) => {
      if (!this.#dropped) this.#onFailure(error);
    });
    this.#onFailure = onFailure;
    for (const piece of left) this.#pieces.add(piece);
    this.#pieces.pack();
    this.#writer = new PieceWriter({
      pieces: this.#pieces,
      file: this.#file,
      writtenCount: left.length,
      onWritten: (piece) => this.#written(piece),
      onTurn: () => this.#letGo(),
      onFailure,
    });
    this.#leftCount = left.length;
    const last = left.at(-1);
    this.#receivedBytes = last ? last.offset + last.length : 0;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  append(chunk: Chunk): void {
    const { length } = chunk.data;
    if (length === 0 || this.#dropped) return;
    if (this.#resting) this.#rest(false);
    this.#receivedBytes += length;
    this.#account(length);
    this.#pieces.append(chunk);
    this.#writer.expect(length);
    if (this.#spool.crowded && this.#receivedBytes > smallBytes) this.#writer.hurry();
    else if (this.#receivedBytes > memoryShareBytes) this.#writer.gather();
    this.#reader?.wake();
  }

  /** Says that nothing more comes. */
  finish(sha256: Uint8Array | undefined): void {
    this.#pieces.settle();
    this.#end = { sha256 };
    this.#reader?.wake();
  }

  /** Tells the reader that it cannot go on: the client left, or the upload is cancelled. A later reader begins anew. */
  interrupt(message: string): void {
    this.#reader?.interrupt(message);
  }

  /** Nobody adds to it, or reads it, for a while: its file is closed between uses. */
  rest(): void {
    this.#rest(true);
  }

  /** Resolves when more may come; `undefined` when that is now. */
  ready(): Promise<void> | undefined {
    if (!this.#mustWait()) return undefined;
    if (this.#waitsForDisk() && this.#writer.waitingBytes > 0) this.spill();
    this.#stopWaiting ??= this.#spool.onRoom(() => this.#letGo());
    return this.#room.wait();
  }

  read(): ContentReader {
    this.#reader?.close();
    const reader = new FollowingReader({
      at: (position, from) => this.#at(position, from),
      passed: (index) => this.#passed(index),
      closed: () => this.#detach(reader),
    });
    this.#reader = reader;
    this.#rest(false);
    if (this.#dropped) reader.interrupt(ended);
    return reader;
  }

  /** All of it as one chunk, where it is complete, still there, and not larger than `maxBytes`; a promise where it must be gathered. */
  whole(maxBytes: number): Chunk | Promise<Chunk> | undefined {
    if (!this.#end || this.#dropped || this.#receivedBytes > maxBytes) return undefined;
    const only = this.#pieces.get(0);
    if (!only) return { offset: 0, data: new Uint8Array(0), crc32c: 0 };
    if (this.#pieces.length === 1 && only.data) return toChunk(only, only.data);
    return this.#join();
  }

  /** Has it written to the spool's file, and lets go of it in memory. */
  spill(): void {
    this.#pieces.settle();
    this.#writer.hurry();
  }

  /** Whether any of it is, or is about to be, in the spool's file. */
  get spilled(): boolean {
    return this.#writer.begun;
  }

  /** Makes everything that has come durable in the spool's file; small content that is kept elsewhere need not be. */
  async flush(): Promise<void> {
    this.#pieces.settle();
    await this.#writer.finish();
    await this.#spool.flush(this.#file);
  }

  /**
   * Reads what an earlier run has left, up to where this one went on. That run may have ended with the power, before it was flushed: its length may be there, and its bytes not.
   *
   * @throws what the disk said, or that they are damaged
   */
  async checkLeft(): Promise<void> {
    for (; this.#checkedCount < this.#leftCount; this.#checkedCount++) {
      const piece = this.#pieces.get(this.#checkedCount) as Piece;
      await this.#readInto(Buffer.allocUnsafe(piece.length), piece);
    }
  }

  /** Lets go of memory and file, and leaves on disk what is there. */
  async release(): Promise<void> {
    if (this.#dropped) return;
    await this.#letGoOfMemory();
    await this.#file.close();
  }

  /**
   * Forgets everything, on disk too.
   *
   * @param recorded resolves when it is on disk why: until then, and where that fails, the file stays for the next start. Default: now
   */
  async drop(recorded?: Promise<void>): Promise<void> {
    if (this.#dropped) return;
    await this.#letGoOfMemory();
    if (!this.#writer.begun) return;
    try {
      await recorded;
    } catch {
      // Who records it tells of the failure.
      await this.#file.close();
      return;
    }
    await this.#file.remove();
  }

  /** Resolves when nothing is written any more. */
  #letGoOfMemory(): Promise<void> {
    this.#dropped = true;
    const stopped = this.#writer.stop();
    // The record outlives its content: it answers for the upload for a while yet.
    this.#pieces.clear();
    this.#account(-this.#memoryBytes);
    this.#reader?.interrupt(ended);
    this.#letGo();
    return stopped;
  }

  #rest(resting: boolean): void {
    this.#resting = resting;
    this.#file.keepOpen(!resting);
  }

  #mustWait(): boolean {
    return !this.#dropped && (this.#waitsForDisk() || this.#isFarAhead());
  }

  #waitsForDisk(): boolean {
    const { crowded, full } = this.#spool;
    return full || this.#writer.waitingBytes > (crowded ? writeBytes : maxUnwrittenBytes);
  }

  /** A reader that begins anew, behind what is on disk already, is not waited for. */
  #isFarAhead(): boolean {
    const reader = this.#reader;
    if (!reader || this.#end) return false;
    const leadBytes = this.#receivedBytes - reader.position;
    return leadBytes > maxLeadBytes && leadBytes <= maxKeptBytes;
  }

  #at(position: number, from: number): { content: Content | Promise<Content>; index: number } | undefined {
    let index = this.#pieces.indexOf(position, from);
    if (index === this.#pieces.length) {
      this.#pieces.settle();
      index = this.#pieces.indexOf(position, index);
    }
    const piece = this.#pieces.get(index);
    if (piece) return { content: this.#contentOf(piece), index };
    if (!this.#end) return undefined;
    return { content: { kind: "end", sizeBytes: this.#receivedBytes, sha256: this.#end.sha256 }, index };
  }

  #contentOf(piece: Piece): Content | Promise<Content> {
    if (piece.data) return { kind: "chunk", chunk: toChunk(piece, piece.data) };
    return this.#fetch(piece).then((chunk) => ({ kind: "chunk", chunk }));
  }

  async #fetch(piece: Piece): Promise<Chunk> {
    const chunk = unreadChunk(piece);
    await this.#readInto(chunk.data, piece);
    return chunk;
  }

  async #readInto(data: Uint8Array, piece: Piece): Promise<void> {
    if (this.#dropped) throw new Error(ended);
    try {
      await this.#file.read(piece, data);
    } catch (error) {
      if (!this.#dropped) this.#onFailure(error);
      throw error;
    }
  }

  async #join(): Promise<Chunk> {
    const data = Buffer.allocUnsafe(this.#receivedBytes);
    for (let index = 0; index < this.#pieces.length; index++) {
      const piece = this.#pieces.get(index) as Piece;
      if (piece.data) data.set(piece.data, piece.offset);
      else await this.#readInto(data.subarray(piece.offset, piece.offset + piece.length), piece);
    }
    // Let go of while a piece was read: there were no further ones.
    if (this.#dropped) throw new Error(ended);
    return { offset: 0, data, crc32c: crc32c(data) };
  }

  #written(piece: Piece): void {
    if (!this.#isAwaited(piece)) this.#forget(piece);
  }

  /** Whether the reader will soon want a piece that is on disk. */
  #isAwaited(piece: Piece): boolean {
    if (!this.#reader || this.#spool.crowded || this.#memoryBytes > maxKeptBytes) return false;
    const leadBytes = piece.offset - this.#reader.position;
    return leadBytes >= 0 && leadBytes <= maxKeptBytes;
  }

  /** The reader has taken this piece: it need not stay in memory if it is on disk. */
  #passed(index: number): void {
    const piece = this.#pieces.get(index);
    if (piece?.written) this.#forget(piece);
    this.#letGo();
  }

  #detach(reader: FollowingReader): void {
    if (this.#reader !== reader) return;
    this.#reader = undefined;
    this.#letGo();
    if (this.#dropped) return;
    for (let index = this.#writer.writtenCount - 1; index >= this.#pieces.packedCount; index--) {
      this.#forget(this.#pieces.get(index) as Piece);
    }
  }

  #forget(piece: Piece): void {
    if (!piece.data) return;
    piece.data = undefined;
    piece.raw = undefined;
    this.#pieces.pack();
    if (!this.#dropped) this.#account(-piece.length);
  }

  #account(bytes: number): void {
    this.#memoryBytes += bytes;
    this.#spool.account(bytes);
  }

  #letGo(): void {
    if (this.#mustWait()) return;
    this.#stopWaiting?.();
    this.#stopWaiting = undefined;
    this.#room.notify();
  }
}
