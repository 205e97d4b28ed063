import { openSync } from "node:fs";
import { release } from "node:os";
import { findCFunction } from "@bilancia/proto/c-function";

/** Flushes the file system that an open file lies on; 0 when that succeeded. */
type SyncFileSystem = (file: number) => Promise<number>;

/** The first Linux whose `syncfs` tells of bytes that could not be written. */
const firstReportingKernel = [5, 8];

const syncFileSystem = await findSyncFileSystem();
/** The folders that are held, each with its file descriptor. */
const heldFolders = new Map<string, number>();

/**
 * Keeps a folder open until the process ends. An error of the file system is told to everyone who had something open there before it came,
 * once: so this is to be called before the first file is written.
 *
 * @returns its file descriptor
 */
export function holdFolder(folder: string): number {
  const held = heldFolders.get(folder) ?? openSync(folder, "r");
  heldFolders.set(folder, held);
  return held;
}

/**
 * Flushes files of one folder, and its entries; a failure is final and must not be tried again.
 *
 * Where that can be had, by one flush of the whole file system (`syncfs`, which Node has not); see `holdFolder`. Elsewhere each file is flushed
 * by itself.
 *
 * @param flush flushes files, and the entries of folders; one that is gone counts as flushed
 */
export async function syncFiles(
  folder: string,
  paths: readonly string[],
  flush: (paths: readonly string[]) => Promise<void>,
  syncAll: SyncFileSystem | null = syncFileSystem,
): Promise<void> {
  if (!syncAll) {
    await flush([...paths, folder]);
    return;
  }
  if ((await syncAll(holdFolder(folder))) !== 0) throw new Error(`the file system of ${folder} could not be flushed`);
}

async function findSyncFileSystem(): Promise<SyncFileSystem | null> {
  if (process.platform !== "linux" || isOlder(release(), firstReportingKernel)) return null;
  const syncfs = await findCFunction("int syncfs(int fd)");
  if (!syncfs) return null;
  return (file) =>
    new Promise((resolve, reject) =>
      syncfs.async(file, (error: unknown, result: number) => (error ? reject(error) : resolve(result))),
    );
}

function isOlder(version: string, [major = 0, minor = 0]: readonly number[]): boolean {
  const [itsMajor = 0, itsMinor = 0] = version.split(".").map(Number);
  return itsMajor < major || (itsMajor === major && itsMinor < minor);
}
