import { mkdir, open } from "node:fs/promises";
import path from "node:path";
import { flushed } from "./flush-failed.js";

/** Makes a folder, and those above it, so that a loss of power does not take it away again. Nothing happens where it is there. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  const top = path.dirname(path.resolve(first));
  for (let above = path.dirname(path.resolve(folder)); ; above = path.dirname(above)) {
    await syncFolder(above);
    if (above === top) return;
  }
}

/** Flushes a folder itself: what has been made, renamed or removed in it stays so after a loss of power. @throws FlushFailed */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await flushed(handle.sync());
  } finally {
    await handle.close();
  }
}
