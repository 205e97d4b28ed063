import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, link, lstat, open, readFile, unlink } from "node:fs/promises";
import { syncFolder } from "@bilancia/proto/folder";
import { errorCode } from "@bilancia/proto/system-error";
import { holdFolder, syncFiles } from "./file-sync.js";
import { SmallFileThread } from "./small-file-thread.js";

/** What tells one file on disk from another that later took its name. */
export interface FileMark {
  readonly sizeBytes: number;
  /** When its content was last written, in nanoseconds since 1970. Survives `link` and a restored backup. */
  readonly modifiedNs: bigint;
}

/** The file system operations of the store. A port: tests let them fail and watch their order. Errors are Node's, with `code`. */
export interface Disk {
  /** Makes a new file. Fails if the name is taken, even by a dangling symbolic link. */
  create(path: string): Promise<DiskFile>;
  read(path: string): Promise<Buffer>;
  /** Gives a file a second name. Fails with EEXIST if that is taken; never overwrites. */
  link(existingPath: string, newPath: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** The mark of a regular file; `undefined` where there is none. */
  mark(path: string): Promise<FileMark | undefined>;
  /** Whether a name is taken, by whatever it may be. */
  exists(path: string): Promise<boolean>;
  /** Makes a new file with all of its bytes, as `create` does; nothing is flushed. For small files. */
  writeWhole(path: string, chunks: readonly Uint8Array[]): Promise<FileMark>;
  /** `link` and `unlink` of the old name. Fails only where `link` does; the old name may stay. */
  giveName(existingPath: string, newPath: string): Promise<void>;
  /** Flushes the entries of a directory. */
  syncDirectory(path: string): Promise<void>;
  /** To be called before the first file of a directory is written, so that `syncFiles` hears of every error. */
  hold(directory: string): void;
  /** Flushes files of a directory, and its entries. A file that is gone counts as flushed. */
  syncFiles(directory: string, paths: readonly string[]): Promise<void>;
}

/** A file open for writing. Whoever created it closes it. */
export interface DiskFile {
  /** Appends all of the bytes. */
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /** Flushes content and length, while more may be written. */
  syncContent(): Promise<void>;
  /** Flushes everything. */
  sync(): Promise<void>;
  mark(): Promise<FileMark>;
  close(): Promise<void>;
}

const smallFiles = new SmallFileThread();

/** The real file system. */
export const nodeDisk: Disk = {
  async create(path) {
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
    return diskFile(await open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o644));
  },
  read: (path) => readFile(path),
  link,
  unlink,
  async mark(path) {
    const stats = await statsOf(path);
    return stats?.isFile() ? { sizeBytes: Number(stats.size), modifiedNs: stats.mtimeNs } : undefined;
  },
  exists: async (path) => (await statsOf(path)) !== undefined,
  syncDirectory: (path) => syncFolder(path),
  writeWhole: (path, chunks) => smallFiles.writeWhole(path, chunks),
  giveName: (existingPath, newPath) => smallFiles.giveName(existingPath, newPath),
  hold: (directory) => void holdFolder(directory),
  syncFiles: (directory, paths) => syncFiles(directory, paths, (some) => smallFiles.flush(some)),
};

async function statsOf(path: string): Promise<BigIntStats | undefined> {
  try {
    return await lstat(path, { bigint: true });
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

function diskFile(handle: FileHandle): DiskFile {
  return {
    async write(chunks) {
      let rest = chunks;
      while (rest.length > 0) {
        const { bytesWritten } = await handle.writev(rest);
        rest = unwritten(rest, bytesWritten);
      }
    },
    syncContent: () => handle.datasync(),
    sync: () => handle.sync(),
    async mark() {
      const stats = await handle.stat({ bigint: true });
      return { sizeBytes: Number(stats.size), modifiedNs: stats.mtimeNs };
    },
    close: () => handle.close(),
  };
}

/** What is left of the chunks after a write that may have been cut short, as it is when the disk fills up. */
function unwritten(chunks: readonly Uint8Array[], writtenBytes: number): Uint8Array[] {
  let skipBytes = writtenBytes;
  const rest: Uint8Array[] = [];
  for (const chunk of chunks) {
    if (skipBytes >= chunk.length) {
      skipBytes -= chunk.length;
    } else {
      rest.push(chunk.subarray(skipBytes));
      skipBytes = 0;
    }
  }
  return rest;
}
