import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";

const mib = 1024 * 1024;

/** A sparse file with a random block at the start of every 4 MiB: cheap to write, and no two of its pieces are alike. */
export async function writeLargeFile(filePath: string, sizeBytes: number): Promise<void> {
  const file = await open(filePath, "wx");
  try {
    await file.truncate(sizeBytes);
    for (let at = 0; at < sizeBytes; at += 4 * mib) await file.write(randomBytes(64 * 1024), 0, 64 * 1024, at);
  } finally {
    await file.close();
  }
}
