import { open, rename } from "node:fs/promises";
import path from "node:path";
import { syncFolder } from "./folder.js";

/** Gives a small file new content, durably: after a crash it has the old or the new one, whole. Not for two at a time. */
export async function replaceFile(file: string, text: string): Promise<void> {
  const temporary = `${file}.new`;
  const handle = await open(temporary, "w");
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  await syncFolder(path.dirname(file));
}
