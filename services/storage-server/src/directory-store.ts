import { extname, join } from "node:path";
import { RefuseReason } from "@bilancia/proto/gen/storage";
import type { Logger } from "pino";
import { type Disk, type DiskFile, errorCode } from "./disk.js";
import type { Fence } from "./fences.js";
import type { AttemptedFile, FileId } from "./file-id.js";
import type { FileIndex, StoredRecord } from "./file-index.js";
import { type Draft, type FileStore, type Known, type NewFile, StoreBroken } from "./file-store.js";
import { Refusal } from "./refusal.js";
import { SharedSync } from "./shared-sync.js";

/** What a `DirectoryStore` works with. */
export interface DirectoryStoreOptions {
  /** Where the files come to lie. */
  readonly dir: string;
  /** Where files are written before they have their name; on the same file system, empty at the start. */
  readonly tempDir: string;
  readonly disk: Disk;
  readonly index: FileIndex;
  readonly log: Logger;
  /** How many files the directory holds at the start. */
  readonly storedFilesCount: number;
  /** Called once, when a flush has failed. */
  readonly onBroken: (error: Error) => void;
}

/**
 * A store of one file each in a directory. The order of a save: temp file, write, fsync, close -> record flushed -> `link` to the final name ->
 * temp name removed -> directory flushed. So a name in the directory always stands for a whole file with a record, and a crash leaves at
 * most a temp file, or a record without a file. `link` never overwrites; names that are not ours are left alone.
 */
export class DirectoryStore implements FileStore {
  readonly #options: DirectoryStoreOptions;
  readonly #entries: SharedSync;
  #draftsCount = 0;
  #storedFilesCount: number;
  #broken: StoreBroken | undefined;

  constructor(options: DirectoryStoreOptions) {
    this.#options = options;
    this.#storedFilesCount = options.storedFilesCount;
    this.#entries = new SharedSync(() => options.disk.syncDirectory(options.dir));
  }

  get storedFilesCount(): number {
    return this.#storedFilesCount;
  }

  async find(id: FileId): Promise<Known> {
    this.#throwIfBroken();
    const record = this.#options.index.get(id);
    if (!record) return { state: "none" };
    const { fence } = record;
    if (record.state === "discarded") return { state: "discarded", fence, uploadId: record.uploadId };
    const mark = await this.#io(this.#options.disk.mark(this.#path(record.storedName)));
    // Another file may have taken the name if the process died between record and link.
    const isTheFile = mark?.sizeBytes === record.sizeBytes && mark.modifiedNs === record.modifiedNs;
    return isTheFile ? { state: "stored", fence, record } : { state: "none", fence };
  }

  async saveWhole(file: NewFile, chunks: readonly Uint8Array[]): Promise<StoredRecord> {
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
    const { disk, tempDir } = this.#options;
    const path = join(tempDir, `${++this.#draftsCount}`);
    const target = await this.#io(disk.create(path));
    const drop = async () => {
      // It is closed already where this follows a failed save.
      await target.close().catch(() => {});
      await this.#removeTemp(path);
    };
    return {
      write: (chunks) => this.#io(target.write(chunks)),
      read: () => this.#io(disk.read(path)),
      drop,
      save: async (file) => {
        try {
          return await this.#publish(path, target, file);
        } catch (error) {
          await drop();
          throw error;
        }
      },
    };
  }

  async raiseFence(id: FileId, record: StoredRecord, fence: Fence): Promise<void> {
    await this.#record(() => this.#options.index.put(id, { ...record, fence }));
  }

  async discard({ id, uploadId, fence }: AttemptedFile): Promise<boolean> {
    const known = await this.find(id);
    // The file goes first: a crash between the two leaves a record without a file, and the call is made again.
    if (known.state === "stored") {
      await this.#io(this.#options.disk.unlink(this.#path(known.record.storedName)));
      await this.#flushed(this.#entries.flush());
      this.#storedFilesCount--;
    }
    await this.#record(() => this.#options.index.put(id, { state: "discarded", uploadId, fence }));
    return known.state === "stored";
  }

  async #publish(tempPath: string, target: DiskFile, file: NewFile): Promise<StoredRecord> {
    const { disk, index } = this.#options;
    await this.#flushed(target.sync());
    const { modifiedNs } = await this.#io(target.mark());
    await this.#io(target.close());
    for (const storedName of [plainName(file), distinctName(file)]) {
      const { id, uploadId, fence, sizeBytes, stats } = file;
      const sha256 = Buffer.from(file.sha256).toString("hex");
      const storedAtMs = Date.now();
      const record: StoredRecord = {
        ...{ state: "stored", uploadId, storedBy: fence, fence },
        ...{ storedName, sizeBytes, modifiedNs, sha256, storedAtMs, ...(stats && { stats }) },
      };
      await this.#record(() => index.put(id, record));
      try {
        await disk.link(tempPath, this.#path(storedName));
      } catch (error) {
        if (errorCode(error) === "EEXIST") continue;
        throw refusalOf(error);
      }
      this.#storedFilesCount++;
      await this.#removeTemp(tempPath);
      await this.#flushed(this.#entries.flush());
      this.#throwIfBroken();
      return record;
    }
    await this.#record(() => index.remove(file.id));
    throw new Refusal(
      RefuseReason.REFUSE_REASON_INTERNAL,
      `the names ${JSON.stringify(plainName(file))} and ${JSON.stringify(distinctName(file))} are both taken by other files`,
    );
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
  async #flushed(flush: Promise<void>): Promise<void> {
    try {
      await flush;
    } catch (error) {
      throw this.#break(error);
    }
  }

  /** A write of the index, which flushes too. LMDB undoes a write for which there was no room; any other failure leaves it in doubt. */
  async #record(write: () => Promise<void>): Promise<void> {
    this.#throwIfBroken();
    try {
      await write();
    } catch (error) {
      if (isFull(error)) throw refusalOf(error);
      throw this.#break(error);
    }
    this.#throwIfBroken();
  }

  #break(error: unknown): StoreBroken {
    if (!this.#broken) {
      this.#broken = new StoreBroken("a flush to disk failed", { cause: error });
      this.#options.onBroken(this.#broken);
    }
    return this.#broken;
  }

  #throwIfBroken(): void {
    if (this.#broken) throw this.#broken;
  }
}

function plainName({ id, name }: NewFile): string {
  return `${id.requestNumber}_${name}`;
}

/** The name for a file whose plain name is taken: with the first 8 digits of the origin before the extension. */
function distinctName(file: NewFile): string {
  const plain = plainName(file);
  const extension = extname(plain);
  return `${plain.slice(0, plain.length - extension.length)}~${file.id.origin.slice(0, 8)}${extension}`;
}

function isFull(error: unknown): boolean {
  // LMDB gives the number of the error, Node its name.
  const enospc = "28";
  return ["ENOSPC", "EDQUOT", enospc].includes(errorCode(error));
}

function refusalOf(error: unknown): Refusal {
  if (isFull(error))
    return new Refusal(RefuseReason.REFUSE_REASON_NO_SPACE, "the disk of this server is full", { cause: error });
  const code = errorCode(error) || "unknown error";
  return new Refusal(RefuseReason.REFUSE_REASON_INTERNAL, `this server could not write or read the file (${code})`, {
    cause: error,
  });
}
