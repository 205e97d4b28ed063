import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** A small file system of its own, in memory, that can be filled. Whoever mounts it unmounts it. */
export class SmallDisk {
  readonly folder = mkdtempSync(path.join(tmpdir(), "bilancia-faults-disk-"));
  readonly #filler = path.join(this.folder, "filler");

  /**
   * @param options of tmpfs, for example `size=64m`
   * @throws Error where mounting is not permitted
   */
  constructor(options: string) {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", this.folder], { stdio: "pipe" });
  }

  /** Takes all the space that is left. */
  fill(): void {
    const fd = openSync(this.#filler, "a");
    try {
      for (let size = 1024 * 1024; size >= 1; size = Math.floor(size / 2)) {
        const block = Buffer.alloc(size, 1);
        try {
          while (writeSync(fd, block) === size);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
        }
      }
    } finally {
      closeSync(fd);
    }
  }

  /** Takes space until no more than a share of it all is free. */
  fillTo(freeShare: number): void {
    const { bavail, blocks, bsize } = statfsSync(this.folder);
    const block = Buffer.alloc(1024 * 1024, 1);
    const fd = openSync(this.#filler, "a");
    try {
      for (let left = (bavail - blocks * freeShare) * bsize; left >= block.length; left -= block.length)
        writeSync(fd, block);
    } finally {
      closeSync(fd);
    }
  }

  /** Gives the space back. */
  free(): void {
    rmSync(this.#filler, { force: true });
  }

  unmount(): void {
    execFileSync("umount", [this.folder], { stdio: "pipe" });
    rmdirSync(this.folder);
  }
}
