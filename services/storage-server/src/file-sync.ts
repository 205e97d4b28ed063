import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
let canSyncFileSystem: Promise<boolean> | undefined;
/** How many files are flushed in one go, so that others who want something of the disk get their turn in between. */
const groupCount = 256;

/**
 * Flushes files of one directory, and its entries; a failure is final and must not be tried again.
 *
 * With one flush of the whole file system first, where that can be had (`sync -f`; Node has no `syncfs`): after it, flushing each file costs
 * microseconds. It is flushed all the same, since the kernel tells of a write error of the file system only one of those who ask, which may
 * be another server on the same disk, but tells of an error of a file whoever flushes that file.
 *
 * @param flush flushes files, and the entries of directories; one that is gone counts as flushed
 */
export async function syncFiles(
  directory: string,
  paths: readonly string[],
  flush: (paths: readonly string[]) => Promise<void>,
): Promise<void> {
  canSyncFileSystem ??= probe();
  if (await canSyncFileSystem) await syncFileSystem(directory);
  for (let at = 0; at < paths.length; at += groupCount) await flush(paths.slice(at, at + groupCount));
  await flush([directory]);
}

async function syncFileSystem(directory: string): Promise<void> {
  try {
    await run("sync", ["-f", directory]);
  } catch (error) {
    // Where the program could not even be started, nothing has been tried yet.
    if (!(error instanceof Error && "syscall" in error)) throw error;
  }
}

/** Tried on a file system that has nothing to flush, so that no error of ours is used up. Only on Linux does `sync` wait and report. */
async function probe(): Promise<boolean> {
  if (process.platform !== "linux") return false;
  return run("sync", ["-f", "/proc"]).then(
    () => true,
    () => false,
  );
}
