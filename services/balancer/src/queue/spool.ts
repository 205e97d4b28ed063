import { mkdir, readdir, rename, rm, statfs } from "node:fs/promises";
import path from "node:path";
import { FlushFailed } from "./flush-failed.js";
import { makeFolder, syncFolder } from "./folder.js";
import type { SpoolFile } from "./spool-file.js";

/** How much memory the bytes of waiting uploads may take. */
export interface SpoolLimits {
  /** Of all uploads together, in bytes. Beyond it, what arrives is written to disk first. */
  readonly maxMemoryBytes: number;
}

const diskLookIntervalMs = 500;

/**
 * The owner of bytes at rest: keeps count of the memory that all uploads take, and of the folder that takes what does not fit. The bytes of one
 * upload are an `UploadContent`.
 */
export class Spool {
  readonly #dir: string;
  readonly #limits: SpoolLimits;
  readonly #onBroken: (error: FlushFailed) => void;
  readonly #waiting = new Set<() => void>();
  #memoryBytes = 0;
  #freeDiskBytes: number | undefined;
  #diskLook: NodeJS.Timeout | undefined;

  /** @param onBroken told when a flush has failed */
  constructor(dir: string, limits: SpoolLimits, onBroken: (error: FlushFailed) => void = () => {}) {
    this.#dir = dir;
    this.#limits = limits;
    this.#onBroken = onBroken;
  }

  /** Makes the folder, and begins to look at how much room its disk has. */
  async open(): Promise<void> {
    await makeFolder(this.#dir);
    await this.#lookAtDisk();
    this.#diskLook = setInterval(() => void this.#lookAtDisk(), diskLookIntervalMs).unref();
  }

  close(): void {
    clearInterval(this.#diskLook);
  }

  /** Free space of the folder's disk, at most half a second old; `undefined` where it cannot be told. */
  get freeDiskBytes(): number | undefined {
    return this.#freeDiskBytes;
  }

  /**
   * Removes the files of uploads: for a queue that does not survive a restart.
   *
   * @returns how many there were
   */
  async empty(): Promise<number> {
    const left = (await readdir(this.#dir)).filter((name) => /^[0-9]+[.](part|index)$/.test(name));
    await Promise.all(left.map((name) => rm(path.join(this.#dir, name))));
    return left.filter((name) => name.endsWith(".part")).length;
  }

  /** The uploads that have files here. */
  async numbers(): Promise<bigint[]> {
    const names = await readdir(this.#dir);
    return names.flatMap((name) => (/^[0-9]+[.]part$/.test(name) ? [BigInt(name.slice(0, -".part".length))] : []));
  }

  /** Moves the files of an upload that nobody knows, or that are damaged, into the folder `quarantine`. Nothing deletes them there. */
  async putAside(requestNumber: bigint): Promise<void> {
    const quarantine = path.join(this.#dir, "quarantine");
    await mkdir(quarantine, { recursive: true });
    for (const ending of ["part", "index"]) {
      const name = `${requestNumber}.${ending}`;
      await rename(path.join(this.#dir, name), path.join(quarantine, name)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
    }
  }

  /** Flushes a file of the folder, and the folder itself, so that the file is found after a loss of power. @throws FlushFailed */
  async flush(file: SpoolFile): Promise<void> {
    try {
      await file.flush();
      await syncFolder(this.#dir);
    } catch (error) {
      if (error instanceof FlushFailed) this.#onBroken(error);
      throw error;
    }
  }

  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /** Whether new bytes of files that are not small should go to disk rather than stay in memory. */
  get crowded(): boolean {
    return this.#memoryBytes > this.#limits.maxMemoryBytes / 2;
  }

  /** Whether the bytes of small files should, too. */
  get tight(): boolean {
    return this.#memoryBytes > (this.#limits.maxMemoryBytes * 3) / 4;
  }

  /** Whether nothing more may come before something has gone. */
  get full(): boolean {
    return this.#memoryBytes > this.#limits.maxMemoryBytes;
  }

  /** Counts bytes that an upload holds in memory, or lets go of (negative). */
  account(bytes: number): void {
    const wasFull = this.full;
    this.#memoryBytes += bytes;
    if (wasFull && !this.full) for (const callback of [...this.#waiting]) callback();
  }

  /** Calls back whenever there is room again; returns how to stop that. */
  onRoom(callback: () => void): () => void {
    this.#waiting.add(callback);
    return () => this.#waiting.delete(callback);
  }

  async #lookAtDisk(): Promise<void> {
    try {
      const { bavail, bsize } = await statfs(this.#dir);
      this.#freeDiskBytes = bavail * bsize;
    } catch {
      // A folder that cannot be asked will fail louder where it is written to.
      this.#freeDiskBytes = undefined;
    }
  }

  /** Where the file of one upload is, without its ending; see `SpoolFile`. */
  pathOf(requestNumber: bigint): string {
    return path.join(this.#dir, String(requestNumber));
  }
}
