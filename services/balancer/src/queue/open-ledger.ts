import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Observer } from "../ports/observer.js";
import type { FlushFailed } from "./flush-failed.js";
import { syncFolder } from "./folder.js";
import { damageIn, lostCommitWords } from "./ledger-damage.js";
import { restoreFirstHeader } from "./ledger-header.js";
import { isFormatHere } from "./lmdb-format.js";
import { LmdbLedger } from "./lmdb-ledger.js";
import { salvageLedger } from "./salvage.js";

const checkScript = fileURLToPath(new URL("./ledger-check.js", import.meta.url));
/** Far more than reading the largest ledger takes, in milliseconds. */
const checkTimeoutMs = 120_000;
/**
 * Opens the ledger kept in a state folder, or begins one there. One that cannot be read is moved aside as a whole; what can be read of it is in the ledger that takes its
 * place. Nothing is deleted, and the balancer starts.
 *
 * @param onBroken see `LmdbLedger`
 * @throws Error when a damaged ledger cannot be replaced, for want of space for example: it stays where it is, and the next start tries again
 */
export async function openLedger(
  stateDir: string,
  observer: Observer,
  onBroken?: (error: FlushFailed) => void,
): Promise<LmdbLedger> {
  const dir = path.join(stateDir, "ledger");
  const successor = `${dir}-new`;
  // A start was ended when the damaged one had been moved aside, and its successor not yet put in its place.
  if (!existsSync(dir) && existsSync(successor)) await move(successor, dir);
  // On another kind of machine LMDB has to be trusted.
  const canCheck = isFormatHere && existsSync(path.join(dir, "data.mdb"));
  if (canCheck) restoreFirstHeader(dir);
  const problem = canCheck ? await problemOf(dir) : undefined;
  if (problem === lostCommitWords) observer.note({ kind: "quarantined", what: "ledger header", detail: problem });
  else if (problem !== undefined) {
    // What a start that was ended had copied: it is all in the damaged one.
    await rm(successor, { recursive: true, force: true });
    const { taken, queued, damaged } = await salvageLedger(dir, successor);
    const aside = `${dir}.damaged-${Date.now()}`;
    await move(dir, aside);
    if (existsSync(successor)) await move(successor, dir);
    const read = `${taken} of its uploads could be read and are taken over, ${queued} of them queued`;
    const left = `what could not be read stays there${damaged > 0 ? `, ${damaged} damaged entries at least` : ""}`;
    const detail = `the ledger cannot be read in full (${problem}); it was moved to ${aside}; ${read}; ${left}`;
    observer.note({ kind: "quarantined", what: "ledger", detail });
    if (queued > 0) observer.note({ kind: "recovered", what: "in a damaged ledger", files: queued });
  }
  const ledger = new LmdbLedger(
    dir,
    (requestNumber, detail) => observer.note({ kind: "quarantined", what: "ledger entry", detail, requestNumber }),
    onBroken,
  );
  // LMDB flushes what is in its file, but not the folders in which the file is found again.
  await syncFolder(dir);
  await syncFolder(stateDir);
  return ledger;
}

/** Renames a folder beside itself, durably: what is written to it from now on must not be found under its old name. */
async function move(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncFolder(path.dirname(to));
}

/** Has a process of its own read the whole ledger before LMDB does, which damage can end. `undefined` where all is well. */
function problemOf(dir: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [checkScript, dir], {
      stdio: ["ignore", "ignore", "pipe"],
      timeout: checkTimeoutMs,
    });
    let words = "";
    child.stderr.on("data", (data: Buffer) => {
      if (words.length < 2_000) words += data.toString();
    });
    child.once("error", () => resolve(undefined));
    child.once("close", () =>
      resolve(damageIn(words) ?? (words.includes(lostCommitWords) ? lostCommitWords : undefined)),
    );
  });
}
