import { execFile } from "node:child_process";
import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { errorCode } from "./system-error.js";

const run = promisify(execFile);
let canSyncFileSystem: Promise<boolean> | undefined;

/**
 * Flushes files of one directory, and its entries: with one flush of the whole file system where that can be had (`sync -f`; Node has no
 * `syncfs`), and otherwise file by file. A file that is gone counts as flushed. Either way a failure is final: it must not be tried again.
 */
export async function syncFiles(directory: string, paths: readonly string[]): Promise<void> {
  canSyncFileSystem ??= probe();
  if (!(await canSyncFileSystem)) return syncEach(directory, paths);
  try {
    await run("sync", ["-f", directory]);
  } catch (error) {
    // Where the program could not even be started, nothing has been tried yet.
    if (!(error instanceof Error && "syscall" in error)) throw error;
    await syncEach(directory, paths);
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

/** Flushes one file after another, and then the directory. */
export async function syncEach(directory: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) await sync(path);
  await sync(directory);
}

async function sync(path: string): Promise<void> {
  try {
    const file = await open(path, "r");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
