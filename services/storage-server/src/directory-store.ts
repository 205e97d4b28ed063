import { join } from "node:path";
import type { FileRoom } from "@bilancia/proto/lmdb/file-room";
import { errorCode, isFull } from "@bilancia/proto/system-error";
import type { Logger } from "pino";
import type { Disk, DiskFile } from "./disk.js";
import { EarlyFlush, EarlyFlushTurn } from "./early-flush.js";
import type { Fence } from "./fences.js";
import type { AttemptedFile, FileId } from "./file-id.js";
import { type FileIndex, type FileRecord, recordsOfFileBytes, type StoredRecord } from "./file-index.js";
import type { FileJournal } from "./file-journal.js";
import { type Draft, type FileStore, type Known, type NewFile, StoreBroken } from "./file-store.js";
import { type BacklogEntry, JournalBacklog } from "./journal-backlog.js";
import { namesTaken, refusalOf } from "./refusal.js";
import { SharedSync } from "./shared-sync.js";
import { storedNames } from "./stored-names.js";

/** Files up to this size become durable through the journal. */
export const maxJournalledFileBytes = 64 * 1024;

/** What a `DirectoryStore` works with. */
export interface DirectoryStoreOptions {
  /** Where the files come to lie. */
  readonly dir: string;
  /** Where files are written before they have their name; on the same file system, empty at the start. */
  readonly tempDir: string;
  readonly disk: Disk;
  readonly index: FileIndex;
  /** Of the same LMDB environment as the index; recovered already. */
  readonly journal: FileJournal;
  /** Of that environment. */
  readonly room: FileRoom;
  readonly log: Logger;
  /** How many files the directory holds at the start. */
  readonly storedFilesCount: number;
  /** Called once, when a flush has failed. */
  readonly onBroken: (error: Error) => void;
}

/**
 * A store of one file each in a directory. `link` gives the final name: it never overwrites, and names that are not ours are left alone.
 *
 * - A large file: temp file, write, fsync, close -> record flushed -> final name -> temp name removed -> directory flushed. A crash leaves at
 *   most a temp file, or a record without a file.
 * - A small file: temp file, write, close -> record and journal entry flushed, together with those of other files -> final name. The bytes
 *   and the name are flushed later, with many others, and the entry is removed after that; after a crash, the next start makes the file anew
 *   from its entry.
 *
 * So a name in the directory always stands for a whole file with a record.
 */
export class DirectoryStore implements FileStore {
  readonly #options: DirectoryStoreOptions;
  readonly #entries: SharedSync;
  readonly #backlog: JournalBacklog;
  readonly #earlyFlushTurn = new EarlyFlushTurn();
  #draftsCount = 0;
  #storedFilesCount: number;
  #broken: StoreBroken | undefined;

  constructor(options: DirectoryStoreOptions) {
    this.#options = options;
    this.#storedFilesCount = options.storedFilesCount;
    const { disk, dir, journal } = options;
    this.#entries = new SharedSync(() => disk.syncDirectory(dir));
    this.#backlog = new JournalBacklog({
      journal,
      syncFiles: (paths) => disk.syncFiles(dir, paths),
      onBroken: (error) => this.#break(error),
    });
  }

  get storedFilesCount(): number {
    return this.#storedFilesCount;
  }

  find(id: FileId): Known | Promise<Known> {
    this.#throwIfBroken();
    const record = this.#recordOf(id);
    if (!record) return { state: "none" };
    const { fence } = record;
    if (record.state === "discarded") return { state: "discarded", fence, uploadId: record.uploadId };
    return this.#findFile(record);
  }

  ownerOf(id: FileId): string | undefined {
    const record = this.#recordOf(id);
    return record?.state === "stored" ? record.uploadId : undefined;
  }

  async #findFile(record: StoredRecord): Promise<Known> {
    const { fence } = record;
    const mark = await this.#io(this.#options.disk.mark(this.#path(record.storedName)));
    // Another file may have taken the name if the process died between record and link.
    const isTheFile = mark?.sizeBytes === record.sizeBytes && mark.modifiedNs === record.modifiedNs;
    return isTheFile ? { state: "stored", fence, record } : { state: "none", fence };
  }

  async saveWhole(file: NewFile, chunks: readonly Uint8Array[]): Promise<StoredRecord> {
    if (file.sizeBytes <= maxJournalledFileBytes) return this.#saveSmall(file, chunks);
    const draft = await this.begin();
    try {
      await draft.write(chunks);
    } catch (error) {
      await draft.drop();
      throw error;
    }
    return draft.save(file);
  }

  async begin(): Promise<Draft> {
    this.#throwIfBroken();
    const { disk } = this.#options;
    const path = this.#newTempPath();
    const target = await this.#io(disk.create(path));
    const early = new EarlyFlush(this.#earlyFlushTurn, () => this.#flushed(target.syncContent()));
    const drop = async () => {
      // It is closed already where this follows a failed save.
      await target.close().catch(() => {});
      await this.#removeTemp(path);
    };
    return {
      write: async (chunks) => {
        await this.#io(target.write(chunks));
        early.wrote(chunks.reduce((sum, { length }) => sum + length, 0));
      },
      read: () => this.#io(disk.read(path)),
      drop,
      save: async (file) => {
        try {
          await early.end();
          return await this.#publish(path, target, file);
        } catch (error) {
          await drop();
          throw error;
        }
      },
    };
  }

  async raiseFence(id: FileId, record: StoredRecord, fence: Fence): Promise<void> {
    const written = this.#takeRoom(0, true);
    await this.#record(() => this.#options.index.put(id, { ...record, fence })).finally(written);
  }

  async discard({ id, uploadId, fence }: AttemptedFile): Promise<boolean> {
    const known = await this.find(id);
    const written = this.#takeRoom(0, true);
    try {
      // The file goes first: a crash between the two leaves a record without a file, and the call is made again.
      if (known.state === "stored") {
        await this.#io(this.#options.disk.unlink(this.#path(known.record.storedName)));
        await this.#flushed(this.#entries.flush());
        this.#storedFilesCount--;
      }
      const tombstone = { state: "discarded", uploadId, fence } as const;
      await this.#record(() => this.#options.index.put(id, tombstone));
    } finally {
      written();
    }
    return known.state === "stored";
  }

  /** Flushes what is only in the journal. Nothing may use the store any more. */
  close(): Promise<void> {
    return this.#backlog.close();
  }

  async #saveSmall(file: NewFile, chunks: readonly Uint8Array[]): Promise<StoredRecord> {
    const full = this.#backlog.reserve(file.sizeBytes);
    if (full) await full;
    let entry: BacklogEntry | undefined;
    let written = () => {};
    const tempPath = this.#newTempPath();
    try {
      this.#throwIfBroken();
      written = this.#takeRoom(recordsOfFileBytes + file.sizeBytes, false);
      const { disk, index } = this.#options;
      const { modifiedNs } = await this.#io(disk.writeWhole(tempPath, chunks));
      const name = async (storedName: string) => {
        const path = this.#path(storedName);
        await disk.giveName(tempPath, path);
        if (entry) this.#backlog.settle(entry, path);
      };
      return await this.#giveName(file, modifiedNs, name, async (record) => {
        // Before its record, so that they share a flush. Were they ever torn apart by a crash, either would count for nothing.
        entry ??= this.#backlog.add(file.id, file.sizeBytes, chunks);
        await index.put(file.id, record);
        await entry.flushed;
      });
    } catch (error) {
      await this.#removeTemp(tempPath);
      // Its record is gone, so that it counts for nothing in the journal. Where that failed the store is broken, and nothing is trimmed.
      if (entry) this.#backlog.settle(entry);
      else this.#backlog.giveBack(file.sizeBytes);
      throw error;
    } finally {
      written();
    }
  }

  async #publish(tempPath: string, target: DiskFile, file: NewFile): Promise<StoredRecord> {
    const { disk, index } = this.#options;
    await this.#flushed(target.sync());
    const { modifiedNs } = await this.#io(target.mark());
    await this.#io(target.close());
    const written = this.#takeRoom(recordsOfFileBytes, false);
    const record = await this.#giveName(
      file,
      modifiedNs,
      (storedName) => disk.link(tempPath, this.#path(storedName)),
      (newRecord) => index.put(file.id, newRecord),
    ).finally(written);
    await this.#removeTemp(tempPath);
    await this.#flushed(this.#entries.flush());
    this.#throwIfBroken();
    return record;
  }

  /** Puts a file on record and gives it the first of its names that is not taken. */
  async #giveName(
    file: NewFile,
    modifiedNs: bigint,
    link: (storedName: string) => Promise<void>,
    put: (record: StoredRecord) => Promise<unknown>,
  ): Promise<StoredRecord> {
    const { id, uploadId, fence, sizeBytes, stats } = file;
    const names = storedNames(`${id.requestNumber}_${file.name}`, id.origin);
    const sha256 = Buffer.from(file.sha256).toString("hex");
    const storedAtMs = Date.now();
    // What has the name could be taken for this file after a crash, by its size and time of writing. A small file's bytes are in the journal then.
    const isLarge = sizeBytes > maxJournalledFileBytes;
    const before = this.#recordOf(id);
    for (const storedName of names) {
      if (isLarge && (await this.#io(this.#options.disk.exists(this.#path(storedName))))) continue;
      const record: StoredRecord = {
        state: "stored",
        uploadId,
        storedBy: fence,
        fence,
        storedName,
        sizeBytes,
        modifiedNs,
        sha256,
        storedAtMs,
        stats,
      };
      await this.#record(() => put(record));
      try {
        await link(storedName);
      } catch (error) {
        if (errorCode(error) === "EEXIST") continue;
        await this.#putBack(id, before);
        throw refusalOf(error);
      }
      this.#storedFilesCount++;
      return record;
    }
    await this.#putBack(id, before);
    throw namesTaken(names);
  }

  /**
   * Undoes the record of a file that is refused. A tombstone stays one; the record of a file that is missing also counts for its bytes in the
   * journal, where a start had no room to make it anew.
   */
  async #putBack(id: FileId, before: FileRecord | undefined): Promise<void> {
    const { index } = this.#options;
    await this.#record(() => (before ? index.put(id, before) : index.remove(id)));
  }

  #newTempPath(): string {
    return join(this.#options.tempDir, `${++this.#draftsCount}`);
  }

  /** A temp file that stays is only untidy: the next start sweeps it. */
  async #removeTemp(path: string): Promise<void> {
    try {
      await this.#options.disk.unlink(path);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") this.#options.log.warn({ err: error, path }, "temp file could not be removed");
    }
  }

  #path(storedName: string): string {
    return join(this.#options.dir, storedName);
  }

  /** An operation whose failure concerns one file only. */
  async #io<T>(operation: Promise<T>): Promise<T> {
    try {
      return await operation;
    } catch (error) {
      throw refusalOf(error);
    }
  }

  /** A flush: never tried again, since the kernel may have dropped what it could not write. */
  async #flushed(flush: Promise<unknown>): Promise<void> {
    try {
      await flush;
    } catch (error) {
      throw this.#break(error);
    }
  }

  /**
   * Room in the file of index and journal, to be taken before anything is written there; returns what to call when that is over.
   *
   * @param outcome whether it ends something: it may then use what is kept back from new files
   */
  #takeRoom(bytes: number, outcome: boolean): () => void {
    try {
      return this.#options.room.take(bytes, outcome);
    } catch (error) {
      throw isFull(error) ? refusalOf(error) : this.#break(error);
    }
  }

  /** A write of the index, for which room has been taken. It flushes too, and leaves everything in doubt where it fails. */
  async #record(write: () => Promise<unknown>): Promise<void> {
    this.#throwIfBroken();
    await this.#flushed(write());
    this.#throwIfBroken();
  }

  /** LMDB reads nothing any more once an update of its header has failed. */
  #recordOf(id: FileId): FileRecord | undefined {
    try {
      return this.#options.index.get(id);
    } catch (error) {
      throw this.#break(error);
    }
  }

  #break(error: unknown): StoreBroken {
    if (!this.#broken) {
      this.#broken = new StoreBroken("a flush to disk failed", { cause: error });
      this.#backlog.halt();
      this.#options.onBroken(this.#broken);
    }
    return this.#broken;
  }

  #throwIfBroken(): void {
    if (this.#broken) throw this.#broken;
  }
}
