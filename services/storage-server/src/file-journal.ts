import type { FileRoom } from "@bilancia/proto/lmdb/file-room";
import type { GroupCommit } from "@bilancia/proto/lmdb/group-commit";
import { crc32c } from "@node-rs/crc32";
import type { Database, RootDatabase } from "lmdb";
import { type FileId, fileIdFrom, fileIdLengthBytes, writeFileId } from "./file-id.js";
import { openTable } from "./index-tables.js";

/** A file as the journal has it. */
export interface JournalledFile {
  /** Whose it is; of a damaged one it may be wrong. */
  readonly id: FileId;
  /** `undefined` where they are damaged. */
  readonly bytes: Buffer | undefined;
}

/** Several files that lie in the journal together, and leave it together. */
export interface JournalPack {
  readonly sequence: bigint;
  /** Resolves once they are flushed. */
  readonly flushed: Promise<void>;
}

interface OpenPack extends JournalPack {
  readonly files: { readonly id: FileId; readonly chunks: readonly Uint8Array[]; readonly sizeBytes: number }[];
  sizeBytes: number;
}

/** Before the bytes of each file: CRC-32C of all that follows, length of the bytes, and whose they are. */
const headLengthBytes = 4 + 4 + fileIdLengthBytes;
/** What removing packs may take of the file, in bytes: the pages that become free are listed there. */
const removalBytes = 256 * 1024;
/** From this size on a pack takes no more files. */
const fullPackBytes = 1024 * 1024;

/**
 * The bytes of small files that are not known to be safe in the directory yet: a table of LMDB, in the order in which they came. A file
 * counts only together with its record, which has its name and SHA-256. What is added in one turn of the event loop becomes one entry, a
 * pack: LMDB takes as long for a few bytes as for many. It keeps no checksums, so each file in a pack carries a CRC-32C.
 */
export class FileJournal {
  readonly #packs: Database<Buffer, Buffer>;
  readonly #commits: GroupCommit;
  readonly #room: FileRoom;
  #lastSequence: bigint;
  #open: OpenPack | undefined;

  /** @param room of the environment; whoever adds files takes it for them */
  constructor(environment: RootDatabase, commits: GroupCommit, room: FileRoom) {
    this.#packs = openTable(environment, "packs");
    this.#commits = commits;
    this.#room = room;
    const [last] = this.#packs.getKeys({ reverse: true, limit: 1 });
    this.#lastSequence = last ? Buffer.from(last).readBigUInt64BE() : 0n;
  }

  /** Adds a file to the pack of this turn, which shares a flush with whatever else is written in this turn. */
  add(id: FileId, chunks: readonly Uint8Array[], sizeBytes: number): JournalPack {
    if (this.#open && this.#open.sizeBytes >= fullPackBytes) this.#open = undefined;
    this.#open ??= this.#begin();
    const pack = this.#open;
    pack.files.push({ id, chunks, sizeBytes });
    pack.sizeBytes += headLengthBytes + sizeBytes;
    return pack;
  }

  /** Resolves once the removal is flushed. @throws DiskFull where there is no room for it: nothing is removed then */
  async remove(sequences: readonly bigint[]): Promise<void> {
    const written = this.#room.take(removalBytes, true);
    const removals = () => sequences.map((sequence) => this.#packs.remove(sequenceKey(sequence)));
    await this.#commits.write(removals).finally(written);
  }

  /** The packs there are, oldest first. */
  sequences(): bigint[] {
    return Array.from(this.#packs.getKeys(), (key) => Buffer.from(key).readBigUInt64BE());
  }

  /** The files of a pack. One that is damaged may have another length than it says: behind it the next one that is whole is looked for. */
  read(sequence: bigint): JournalledFile[] {
    const found = this.#packs.get(sequenceKey(sequence));
    if (!found) return [];
    // LMDB's memory is only valid until its next read.
    const pack = Buffer.from(found);
    const files: JournalledFile[] = [];
    for (let at = 0; at + headLengthBytes <= pack.length; ) {
      const end = endOfWhole(pack, at);
      if (end !== undefined) {
        files.push({ id: fileIdFrom(pack.subarray(at + 8)), bytes: pack.subarray(at + headLengthBytes, end) });
        at = end;
        continue;
      }
      const next = nextWhole(pack, at + 1);
      for (; at + headLengthBytes <= next; at = endSaid(pack, at))
        files.push({ id: fileIdFrom(pack.subarray(at + 8)), bytes: undefined });
      at = next;
    }
    return files;
  }

  /** Removes all packs. */
  clear(): void {
    this.#packs.clearSync();
  }

  #begin(): OpenPack {
    const files: OpenPack["files"] = [];
    const sequence = ++this.#lastSequence;
    const flushed = this.#commits.write(() => {
      if (this.#open === pack) this.#open = undefined;
      return [this.#packs.put(sequenceKey(sequence), encode(pack))];
    });
    // Each of its files waits for it, but perhaps not yet.
    flushed.catch(() => {});
    const pack: OpenPack = { sequence, flushed, files, sizeBytes: 0 };
    return pack;
  }
}

function encode({ files, sizeBytes }: OpenPack): Buffer {
  const pack = Buffer.allocUnsafe(sizeBytes);
  let at = 0;
  for (const file of files) {
    pack.writeUInt32LE(file.sizeBytes, at + 4);
    writeFileId(file.id, pack, at + 8);
    let end = at + headLengthBytes;
    for (const chunk of file.chunks) {
      pack.set(chunk, end);
      end += chunk.length;
    }
    pack.writeUInt32LE(crc32c(pack.subarray(at + 4, end)), at);
    at = end;
  }
  return pack;
}

/** Where the file ends that begins in a pack at `at`, by what its head says. */
function endSaid(pack: Buffer, at: number): number {
  return at + headLengthBytes + pack.readUInt32LE(at + 4);
}

/** The same, where that file is whole; else `undefined`. */
function endOfWhole(pack: Buffer, at: number): number | undefined {
  const end = endSaid(pack, at);
  return end <= pack.length && pack.readUInt32LE(at) === crc32c(pack.subarray(at + 4, end)) ? end : undefined;
}

/** Where the first file begins, from `from` on, that is whole; the pack's end where none does. */
function nextWhole(pack: Buffer, from: number): number {
  for (let at = from; at + headLengthBytes <= pack.length; at++) if (endOfWhole(pack, at) !== undefined) return at;
  return pack.length;
}

function sequenceKey(sequence: bigint): Buffer {
  const key = Buffer.allocUnsafe(8);
  key.writeBigUInt64BE(sequence);
  return key;
}
