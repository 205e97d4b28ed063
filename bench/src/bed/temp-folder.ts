import { mkdtempSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";

/** A temporary folder. Whoever makes it removes it. */
export class TempFolder {
  readonly path: string;
  /** Removes it with all that is in it. */
  readonly remove = () => {
    process.off("exit", this.remove);
    rmSync(this.path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  };

  /** @param parent where it is made; decides which disk is used */
  constructor(parent: string) {
    this.path = mkdtempSync(join(resolve(parent), ".bench-"));
  }

  /** Removes it when this process exits, too. To be called once those who write to it have said how they are ended then. */
  removeAtExit(): void {
    process.on("exit", this.remove);
  }
}
