import { mkdir, open, stat } from "node:fs/promises";
import path from "node:path";
import { errorCode } from "./system-error.js";

/**
 * Flushes a folder itself: what has been made, renamed or removed in it stays so after a loss of power.
 *
 * @param waitFor waits for the flush; for those who tell its failure from others
 */
export async function syncFolder(
  folder: string,
  waitFor: (flush: Promise<void>) => Promise<void> = (flush) => flush,
): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await waitFor(handle.sync());
  } finally {
    await handle.close();
  }
}

/**
 * Makes a folder, and those above it, so that a loss of power does not take it away again. Nothing happens where it is there.
 *
 * @param sync flushes a folder, see `syncFolder`
 */
export async function makeFolder(
  folder: string,
  sync: (folder: string) => Promise<void> = (above) => syncFolder(above),
): Promise<void> {
  const wanted = path.resolve(folder);
  const above = path.dirname(wanted);
  let isNew: boolean;
  try {
    isNew = await makeOne(wanted);
  } catch (error) {
    if (errorCode(error) !== "ENOENT" || above === wanted) throw error;
    // Not with `recursive`: where none can be made although the one above is there, as in /proc, Node tries for ever.
    await makeFolder(above, sync);
    isNew = await makeOne(wanted);
  }
  if (isNew) await sync(above);
}

/** @returns whether it was not there */
async function makeOne(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST" && (await stat(folder)).isDirectory()) return false;
    throw error;
  }
}
