import { createCipheriv, createHash, randomUUID } from "node:crypto";
import { Kind, type SaveHeader } from "@bilancia/proto/gen/storage";
import { maxPartDataBytes } from "@bilancia/proto/limits";
import type { Part } from "@bilancia/proto/part-codec";
import { crc32c } from "@node-rs/crc32";

/** Which try of a file is sent. */
export interface Attempt {
  readonly term: bigint;
  readonly attempt: number;
}

/** Bytes without a pattern, the same ones for the same seed. */
export function sampleBytes(seed: number, sizeBytes: number): Buffer {
  const key = createHash("sha256").update(`sample ${seed}`).digest();
  return createCipheriv("aes-128-ctr", key.subarray(0, 16), key.subarray(16)).update(Buffer.alloc(sizeBytes));
}

/** SHA-256 as hexadecimal digits. */
export function sha256Hex(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** A file that a check sends, whole or in parts, as often as it likes. */
export class SampleFile {
  readonly header: SaveHeader;
  readonly data: Buffer;
  readonly sha256: string;

  /** @param fields what differs from a good header of a binary file */
  constructor(origin: string, requestNumber: bigint, data: Buffer, fields: Partial<SaveHeader> = {}) {
    this.data = data;
    this.sha256 = sha256Hex(data);
    this.header = {
      ...{ origin, requestNumber, uploadId: randomUUID(), attempt: 1, term: 1n, name: `sample-${requestNumber}.bin` },
      ...{ sizeBytes: undefined, sha256: undefined, contentType: "", kind: Kind.KIND_BINARY, labels: {} },
      ...fields,
    };
  }

  get requestNumber(): bigint {
    return this.header.requestNumber;
  }

  /** The same file as another try; also with another name, number or owner, for what is to be refused. */
  with(fields: Partial<SaveHeader>): SampleFile {
    return new SampleFile(this.header.origin, this.header.requestNumber, this.data, { ...this.header, ...fields });
  }

  /** The file as one part. Its data must fit. */
  whole(): Part<SaveHeader> {
    return { header: this.header, offset: 0, data: this.data, crc32c: crc32c(this.data), finish: this.#finish() };
  }

  /**
   * The file in several parts: header, data, finish.
   *
   * @param partBytes data of a part, in bytes
   */
  parts(partBytes = maxPartDataBytes): Part<SaveHeader>[] {
    const parts: Part<SaveHeader>[] = [{ header: this.header, offset: 0, data: this.data.subarray(0, 0) }];
    for (let offset = 0; offset < this.data.length; offset += partBytes) {
      const data = this.data.subarray(offset, offset + partBytes);
      parts.push({ offset, data, crc32c: crc32c(data) });
    }
    parts.push({ offset: this.data.length, data: this.data.subarray(0, 0), finish: this.#finish() });
    return parts;
  }

  #finish() {
    return { sizeBytes: BigInt(this.data.length), sha256: Buffer.from(this.sha256, "hex") };
  }
}
