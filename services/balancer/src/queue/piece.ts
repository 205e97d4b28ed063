import { dataMessage } from "@bilancia/proto/part-codec";
import { crc32c } from "@node-rs/crc32";
import type { Chunk } from "../ports/content.js";
import { PackedPieces } from "./packed-pieces.js";

/** A stretch of a file. It is in memory while `data` is there, on disk once `written`, for a while both. */
export interface Piece {
  readonly offset: number;
  readonly length: number;
  readonly crc32c: number;
  data: Uint8Array | undefined;
  raw: Buffer | undefined;
  written: boolean;
}

/** Chunks below this are gathered, so that a client's tiny chunks do not cost a piece each. */
const tinyBytes = 16 * 1024;
const gatherBytes = 64 * 1024;
/** Pieces from this size on are read back into a message that can be sent as it is; smaller ones share messages. */
const ownMessageBytes = 128 * 1024;
/** What there is around the data of a message at most: three tags with lengths, the offset, the CRC-32C. One that has more is not kept, for only the data is accounted for. */
const maxAroundBytes = 22;

/** The pieces of one file, in order and without gaps. Those at its beginning that are on disk only are packed: a large file has very many. */
export class PieceList {
  #packed: PackedPieces | undefined;
  /** Those that follow. */
  readonly #pieces: Piece[] = [];
  #gathered: { buffer: Buffer; offset: number; length: number; crc32c: number } | undefined;

  get length(): number {
    return this.packedCount + this.#pieces.length;
  }

  /** How many pieces at the beginning are on disk only. */
  get packedCount(): number {
    return this.#packed?.count ?? 0;
  }

  get(index: number): Piece | undefined {
    if (!this.#packed || index >= this.#packed.count) return this.#pieces[index - this.packedCount];
    const { offset, length, crc32c: crc } = this.#packed.get(index);
    return { offset, length, crc32c: crc, data: undefined, raw: undefined, written: true };
  }

  /** The pieces from an index on, up to the one that makes it so many bytes; fewer where there are no more. */
  stretch(from: number, bytes: number): Piece[] {
    const pieces: Piece[] = [];
    for (let sum = 0; sum < bytes; ) {
      const piece = this.get(from + pieces.length);
      if (!piece) break;
      pieces.push(piece);
      sum += piece.length;
    }
    return pieces;
  }

  /** Adds a piece as it is. */
  add(piece: Piece): void {
    this.#pieces.push(piece);
  }

  /** Adds a chunk; a tiny one may stay out of sight until `settle`. */
  append(chunk: Chunk): void {
    if (chunk.data.length >= tinyBytes || chunk.offset === 0) {
      this.settle();
      this.#pieces.push(fromChunk(chunk));
      return;
    }
    if (this.#gathered && this.#gathered.length + chunk.data.length > gatherBytes) this.settle();
    this.#gathered ??= { buffer: Buffer.allocUnsafeSlow(gatherBytes), offset: chunk.offset, length: 0, crc32c: 0 };
    this.#gathered.buffer.set(chunk.data, this.#gathered.length);
    this.#gathered.crc32c = crc32c(chunk.data, this.#gathered.crc32c);
    this.#gathered.length += chunk.data.length;
  }

  /** Makes a piece of what has been gathered. */
  settle(): void {
    if (!this.#gathered) return;
    const { buffer, offset, length, crc32c: crc } = this.#gathered;
    // A copy of the right size: the gathering buffer is mostly empty when chunks are few.
    const data = length * 2 < gatherBytes ? ownCopy(buffer.subarray(0, length)) : buffer.subarray(0, length);
    this.#pieces.push({ offset, length, crc32c: crc, data, raw: undefined, written: false });
    this.#gathered = undefined;
  }

  /** Lets go of all of them. */
  clear(): void {
    this.#pieces.length = 0;
    this.#packed = undefined;
    this.#gathered = undefined;
  }

  /** Packs what is on disk only by now. */
  pack(): void {
    let count = 0;
    for (let piece = this.#pieces[0]; piece?.written && !piece.data; piece = this.#pieces[++count]) {
      this.#packed ??= new PackedPieces();
      this.#packed.add(piece.length, piece.crc32c);
    }
    if (count > 0) this.#pieces.splice(0, count);
  }

  /** The index of the piece that holds a position, looking from `from` on; `length` where no piece does. */
  indexOf(position: number, from: number): number {
    let index = from;
    for (; index < this.length; index++) {
      const piece = this.get(index) as Piece;
      if (position < piece.offset + piece.length) break;
    }
    return index;
  }
}

/** A piece as a chunk, given its bytes. */
export function toChunk(piece: Piece, data: Uint8Array): Chunk {
  return { offset: piece.offset, data, crc32c: piece.crc32c, raw: piece.raw };
}

/** A piece that is on disk, as a chunk whose bytes are still to be read to where they are in it. */
export function unreadChunk({ offset, length, crc32c: crc }: Piece): Chunk {
  if (length < ownMessageBytes) return { offset, data: Buffer.allocUnsafe(length), crc32c: crc };
  return { offset, crc32c: crc, ...dataMessage(offset, length, crc) };
}

function fromChunk(chunk: Chunk): Piece {
  const { offset, crc32c: crc, data, raw } = chunk;
  // A view into a message that many files share would keep the whole message alive.
  const shared = data.buffer.byteLength > 2 * data.length;
  const message = raw && !shared && raw.length <= data.length + maxAroundBytes ? raw : undefined;
  return {
    offset,
    length: data.length,
    crc32c: crc,
    data: shared ? ownCopy(data) : data,
    raw: message,
    written: false,
  };
}

/** A copy with memory of its own; `Buffer.from` would share a pool, and keep all of that alive. */
function ownCopy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
