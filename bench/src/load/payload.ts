import { createHash, randomBytes } from "node:crypto";
import { maxPartDataBytes } from "@bilancia/proto/limits";
import { crc32c } from "@node-rs/crc32";

/** Bytes of one part, with their checksum, worked out before the clock runs. */
export interface Piece {
  readonly data: Buffer;
  readonly crc32c: number;
}

/** A file to send, in memory. Its digest is worked out before the clock runs, the same for every contender. */
export interface Payload {
  readonly sizeBytes: number;
  readonly sha256: Buffer;
  /** Its bytes, in pieces of at most 256 KiB. */
  pieces(): Iterable<Piece>;
}

/** Different bytes enough that no cache makes a large file cheap. */
const poolBytes = 32 * 1024 * 1024;

/** Random bytes that large files are made of, over and over. */
const pool: Piece[] = [];

/** A file of random bytes. Large ones share their bytes, so that any number of them takes little memory. */
export function makePayload(sizeBytes: number): Payload {
  const pieces = sizeBytes <= maxPartDataBytes ? [piece(randomBytes(sizeBytes))] : undefined;
  const walk = () => pieces ?? fromPool(sizeBytes);
  const hash = createHash("sha256");
  for (const { data } of walk()) hash.update(data);
  return { sizeBytes, sha256: hash.digest(), pieces: walk };
}

/** Several small files, all different. */
export function makePayloads(count: number, sizeBytes: number): Payload[] {
  return Array.from({ length: count }, () => makePayload(sizeBytes));
}

function* fromPool(sizeBytes: number): Generator<Piece, void, void> {
  while (pool.length * maxPartDataBytes < poolBytes) pool.push(piece(randomBytes(maxPartDataBytes)));
  let left = sizeBytes;
  for (let index = 0; left >= maxPartDataBytes; index = (index + 1) % pool.length) {
    yield pool[index] as Piece;
    left -= maxPartDataBytes;
  }
  if (left > 0) yield piece((pool[0] as Piece).data.subarray(0, left));
}

function piece(data: Buffer): Piece {
  return { data, crc32c: crc32c(data) };
}
