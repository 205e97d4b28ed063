import { existsSync } from "node:fs";
import path from "node:path";
import type { FlushFailed } from "./flush-failed.js";
import { Spool, type SpoolLimits } from "./spool.js";

/** A spool that is open, and how many uploads' files an earlier run had left in it that were removed. */
export interface OpenedSpool {
  readonly spool: Spool;
  readonly removedFiles: number;
}

/**
 * Opens the spool of a state folder. A queue that does not survive a restart has a folder of its own in it, which begins empty: what an embedded queue has left is never touched.
 *
 * @param kept whether the queue survives a restart
 * @param onBroken see `Spool`
 * @throws Error when the queue does not survive a restart, but an embedded one was used here and still has files
 */
export async function openSpool(
  stateDir: string,
  kept: boolean,
  limits: SpoolLimits,
  onBroken?: (error: FlushFailed) => void,
): Promise<OpenedSpool> {
  const dir = path.join(stateDir, "spool");
  const spool = new Spool(dir, limits, onBroken);
  await spool.open();
  if (kept) return { spool, removedFiles: 0 };
  spool.close();
  const left = await spool.numbers();
  if (left.length > 0 && existsSync(path.join(stateDir, "ledger"))) {
    throw new Error(
      `${dir} has files of an embedded queue (uploads: ${left.length}), which nobody would deliver with queue: memory. ` +
        "Start with queue: embedded until they are gone (see lb-cli status and lb-cli dead-letters list), or with another stateDir.",
    );
  }
  const passing = new Spool(path.join(dir, "memory"), limits, onBroken);
  await passing.open();
  return { spool: passing, removedFiles: (await spool.empty()) + (await passing.empty()) };
}
