import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isFull } from "@bilancia/proto/system-error";

/** A small file system in memory, to be filled. */
export interface SmallDisk {
  readonly folder: string;
  /** Takes all the space that is left. */
  fill(): void;
  /** Gives it back. */
  free(): void;
}

/** Runs a test with a small disk. @returns false where none can be mounted: the test has not been run then */
export async function withSmallDisk(size: string, test: (disk: SmallDisk) => Promise<void>): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "bilancia-storage-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", folder], { stdio: "ignore" });
  } catch {
    rmdirSync(folder);
    return false;
  }
  const filler = join(folder, "filler");
  const fill = () => {
    for (let block = 1024 * 1024; block >= 1; block = Math.floor(block / 2))
      try {
        for (;;) appendFileSync(filler, Buffer.alloc(block));
      } catch (error) {
        if (!isFull(error)) throw error;
      }
  };
  try {
    await test({ folder, fill, free: () => rmSync(filler) });
  } finally {
    // The process holds the folder of its server until it ends.
    execFileSync("umount", ["-l", folder]);
    rmdirSync(folder);
  }
  return true;
}
