import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { join, resolve } from "node:path";

/** What must be free for a folder to stay until the end, in bytes. */
const roomyBytes = 32 * 1024 ** 3;
/** The type of a tmpfs, whose files are memory (see statfs(2)). */
const tmpfsType = 0x0102_1994;

/** The folders that are to be removed when this process exits. */
const atExit = new Set<TempFolder>();
/** One listener for all of them: Node takes more than ten for a leak. */
const removeAll = () => {
  for (const folder of atExit) folder.remove();
};

/** A temporary folder. Whoever makes it removes it. */
export class TempFolder {
  readonly path: string;

  /** @param parent where it is made; decides which disk is used */
  constructor(parent: string) {
    this.path = mkdtempSync(join(resolve(parent), ".bench-"));
  }

  /** Removes it with all that is in it. */
  remove(): void {
    atExit.delete(this);
    rmSync(this.path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  /**
   * Removes it at the end of the process where its disk has room, and else at once. For minutes after many small files were removed, ext4 takes three to ten times as long to make new ones: whatever is measured next
   * would be another thing.
   */
  done(): void {
    const { type, bavail, bsize } = statfsSync(this.path);
    if (type === tmpfsType || bavail * bsize < roomyBytes) this.remove();
    else this.removeAtExit();
  }

  /** Removes it when this process exits, too. To be called once those who write to it have said how they are ended then. */
  removeAtExit(): void {
    atExit.add(this);
    // Behind those who end what writes to it.
    process.off("exit", removeAll).on("exit", removeAll);
  }
}
