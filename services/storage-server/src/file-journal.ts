import { crc32c } from "@node-rs/crc32";
import type { Database, RootDatabase } from "lmdb";
import { type FileId, fileIdBytes, fileIdFrom, fileIdLengthBytes } from "./file-id.js";

/** A file as the journal has it. */
export interface JournalledFile {
  readonly id: FileId;
  readonly bytes: Buffer;
}

const crcLengthBytes = 4;

/**
 * The bytes of small files that are not known to be safe in the directory yet: a table of LMDB, in the order in which they came. An entry
 * counts only together with the record of its file, which has its name and SHA-256. LMDB keeps no checksums, so each entry carries a CRC-32C.
 */
export class FileJournal {
  readonly #entries: Database<Buffer, Buffer>;
  #lastSequence: bigint;

  constructor(environment: RootDatabase) {
    this.#entries = environment.openDB<Buffer, Buffer>({ name: "journal", encoding: "binary", keyEncoding: "binary" });
    const [last] = this.#entries.getKeys({ reverse: true, limit: 1 });
    this.#lastSequence = last ? Buffer.from(last).readBigUInt64BE() : 0n;
  }

  /** Adds a file. `flushed` resolves once it is flushed; it shares the flush of whatever else is written in the same turn. */
  add(id: FileId, chunks: readonly Uint8Array[]): { readonly sequence: bigint; readonly flushed: Promise<void> } {
    const sequence = ++this.#lastSequence;
    const value = Buffer.concat([Buffer.alloc(crcLengthBytes), fileIdBytes(id), ...chunks]);
    value.writeUInt32LE(crc32c(value.subarray(crcLengthBytes)));
    const flushed = this.#entries.put(sequenceKey(sequence), value).then(() => {});
    return { sequence, flushed };
  }

  /** Resolves once the removal is flushed. */
  async remove(sequences: readonly bigint[]): Promise<void> {
    await Promise.all(sequences.map((sequence) => this.#entries.remove(sequenceKey(sequence))));
  }

  /** The entries there are, oldest first. */
  sequences(): bigint[] {
    return Array.from(this.#entries.getKeys(), (key) => Buffer.from(key).readBigUInt64BE());
  }

  /** @returns `undefined` where the entry is damaged or missing */
  get(sequence: bigint): JournalledFile | undefined {
    const value = this.#entries.get(sequenceKey(sequence));
    if (!value || value.length < crcLengthBytes + fileIdLengthBytes) return undefined;
    const content = Buffer.from(value.subarray(crcLengthBytes));
    if (value.readUInt32LE() !== crc32c(content)) return undefined;
    return { id: fileIdFrom(content), bytes: content.subarray(fileIdLengthBytes) };
  }

  /** Whose entry it is, also of a damaged one; it may be wrong then. */
  idOf(sequence: bigint): FileId | undefined {
    const value = this.#entries.get(sequenceKey(sequence));
    const isLongEnough = value && value.length >= crcLengthBytes + fileIdLengthBytes;
    return isLongEnough ? fileIdFrom(Buffer.from(value.subarray(crcLengthBytes))) : undefined;
  }

  /** Removes all entries. */
  clear(): void {
    this.#entries.clearSync();
  }
}

function sequenceKey(sequence: bigint): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(sequence);
  return key;
}
