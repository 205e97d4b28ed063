import { createCipheriv, createHash } from "node:crypto";
import type { Finish } from "@bilancia/proto/gen/storage";
import { batchTargetBytes, maxPartDataBytes, maxPartsPerMessage } from "@bilancia/proto/limits";
import type { Part } from "@bilancia/proto/part-codec";
import { crc32c } from "@node-rs/crc32";

/** A finish that says nothing of the file. */
export const emptyFinish: Finish = { sizeBytes: undefined, sha256: undefined };

/** Bytes without a pattern, the same ones for the same seed. */
export function sampleBytes(seed: number, sizeBytes: number): Buffer {
  const key = createHash("sha256").update(`sample ${seed}`).digest();
  return createCipheriv("aes-128-ctr", key.subarray(0, 16), key.subarray(16)).update(Buffer.alloc(sizeBytes));
}

/** A file that a check sends, whole or in parts, as often as it likes. */
export class SampleFile<Header> {
  readonly header: Header;
  readonly data: Buffer;
  /** Hexadecimal digits. */
  readonly sha256: string;

  constructor(header: Header, data: Buffer) {
    this.header = header;
    this.data = data;
    this.sha256 = createHash("sha256").update(data).digest("hex");
  }

  /** The file as one part. Its data must fit. */
  whole(finish = this.#finish()): Part<Header> {
    return { header: this.header, offset: 0, data: this.data, crc32c: crc32c(this.data), finish };
  }

  /**
   * The file in several parts: header, data, finish.
   *
   * @param partBytes data of a part, in bytes
   * @param fromBytes where the data begins
   * @param finish what the last part says of the file; not given: all, and the truth
   */
  parts(partBytes = maxPartDataBytes, fromBytes = 0, finish = this.#finish()): Part<Header>[] {
    const nothing = this.data.subarray(0, 0);
    const parts: Part<Header>[] = [{ header: this.header, offset: 0, data: nothing }];
    for (let offset = fromBytes; offset < this.data.length; offset += partBytes) {
      const data = this.data.subarray(offset, offset + partBytes);
      parts.push({ offset, data, crc32c: crc32c(data) });
    }
    parts.push({ offset: this.data.length, data: nothing, finish });
    return parts;
  }

  #finish(): Finish {
    return { sizeBytes: BigInt(this.data.length), sha256: Buffer.from(this.sha256, "hex") };
  }
}

/** The messages of many files, as a client or a balancer makes them: small files together, up to 64 parts or 256 KiB to a message. */
export function* batched<Header>(files: Iterable<SampleFile<Header>>): Generator<Part<Header>[]> {
  let batch: Part<Header>[] = [];
  let bytes = 0;
  for (const file of files) {
    const isLarge = file.data.length > batchTargetBytes;
    const isFull = batch.length === maxPartsPerMessage || bytes + file.data.length > batchTargetBytes;
    if ((isLarge || isFull) && batch.length > 0) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    if (isLarge) for (const part of file.parts()) yield [part];
    else batch.push(file.whole());
    bytes += isLarge ? 0 : file.data.length;
  }
  if (batch.length > 0) yield batch;
}
