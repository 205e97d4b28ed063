import { overheadBytes } from "@bilancia/proto/lmdb/file-room";
import type { GroupCommit } from "@bilancia/proto/lmdb/group-commit";
import { crc32c } from "@node-rs/crc32";
import type { Database, RootDatabase } from "lmdb";
import { z } from "zod";
import type { Fence } from "./fences.js";
import { type FileId, fileIdBytes } from "./file-id.js";
import { openTable } from "./index-tables.js";

/** What a file may take of the index's file: a record under each of its names, and what is put in its place if neither can be had. */
export const recordsOfFileBytes = 3 * overheadBytes;

const fence = z.object({ term: z.coerce.bigint(), attempt: z.number() });

/** What is on record about a file. */
const fileRecord = z.discriminatedUnion("state", [
  z.object({
    state: z.literal("stored"),
    uploadId: z.string(),
    /** The attempt that stored it. */
    storedBy: fence,
    /** The highest attempt that has been answered with it. */
    fence,
    storedName: z.string(),
    sizeBytes: z.number(),
    /** Tells the file from another that took its name; see `FileMark`. */
    modifiedNs: z.coerce.bigint(),
    /** Hexadecimal. */
    sha256: z.string(),
    storedAtMs: z.number(),
    stats: z.object({ lettersA: z.number(), characters: z.number() }).optional(),
  }),
  /** A tombstone: attempts up to the fence are refused. */
  z.object({ state: z.literal("discarded"), uploadId: z.string(), fence }),
]);

export type FileRecord = z.infer<typeof fileRecord>;
/** The record of a stored file. It counts only together with the file itself: it is written before the file gets its name. */
export type StoredRecord = Extract<FileRecord, { state: "stored" }>;
/**
 * The durable records of the files, in LMDB, by origin and request number. Reads are synchronous; a write resolves once it is flushed, and
 * writes that come together share one flush. LMDB keeps no checksums, so each record carries a CRC-32C over its key and content.
 */
export class FileIndex {
  readonly #records: Database<Buffer, Buffer>;
  readonly #commits: GroupCommit;
  readonly #onCorrupt: (id: FileId, problem: string) => void;

  /** @param onCorrupt hears of each damaged record that was met; it is then treated as absent */
  constructor(environment: RootDatabase, commits: GroupCommit, onCorrupt: (id: FileId, problem: string) => void) {
    this.#records = openTable(environment, "files");
    this.#commits = commits;
    this.#onCorrupt = onCorrupt;
  }

  get(id: FileId): FileRecord | undefined {
    const key = fileIdBytes(id);
    const bytes = this.#records.get(key);
    if (bytes === undefined) return undefined;
    try {
      return decode(key, bytes);
    } catch (error) {
      this.#onCorrupt(id, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  /** Resolves once the record is flushed. @throws LMDB's error when it could not be written */
  put(id: FileId, record: FileRecord): Promise<void> {
    const key = fileIdBytes(id);
    const bytes = encode(key, record);
    return this.#commits.write(() => [this.#records.put(key, bytes)]);
  }

  /** Resolves once the removal is flushed. */
  remove(id: FileId): Promise<void> {
    return this.#commits.write(() => [this.#records.remove(fileIdBytes(id))]);
  }

  /** Removes all records, and returns how many there were. */
  clear(): number {
    const count = this.#records.getCount();
    this.#records.clearSync();
    return count;
  }
}

/** Whether the bytes under a key are those of the record that was put there. */
export function isRecord(key: Buffer, bytes: Buffer): boolean {
  return bytes.length >= 4 && bytes.readUInt32LE() === crc32c(bytes.subarray(4), crc32c(key));
}

function encode(key: Buffer, record: FileRecord): Buffer {
  const text = JSON.stringify(inJson(record));
  const bytes = Buffer.allocUnsafe(4 + Buffer.byteLength(text));
  bytes.write(text, 4);
  bytes.writeUInt32LE(crc32c(bytes.subarray(4), crc32c(key)));
  return bytes;
}

/** A record without BigInts, which JSON cannot hold. A replacer would be called for each value of each record. */
function inJson(record: FileRecord): object {
  const fence = fenceInJson(record.fence);
  if (record.state === "discarded") return { state: record.state, uploadId: record.uploadId, fence };
  const storedBy = fenceInJson(record.storedBy);
  return { ...record, storedBy, fence, modifiedNs: String(record.modifiedNs) };
}

function fenceInJson({ term, attempt }: Fence): object {
  return { term: String(term), attempt };
}

function decode(key: Buffer, bytes: Buffer): FileRecord {
  if (!isRecord(key, bytes)) throw new Error("the checksum of the record differs");
  return fileRecord.parse(JSON.parse(bytes.subarray(4).toString()));
}
