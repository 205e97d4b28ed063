import { mkdir, open } from "node:fs/promises";
import path from "node:path";

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
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  const top = path.dirname(path.resolve(first));
  for (let above = path.dirname(path.resolve(folder)); ; above = path.dirname(above)) {
    await sync(above);
    if (above === top) return;
  }
}
