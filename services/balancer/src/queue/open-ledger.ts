import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { rename } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Observer } from "../ports.js";
import { LmdbLedger } from "./lmdb-ledger.js";

const checkScript = fileURLToPath(new URL("./ledger-check.js", import.meta.url));
/** Far more than reading the largest ledger takes, in milliseconds. */
const checkTimeoutMs = 120_000;
/** How reading a damaged ledger ends a process. */
const damageSignals: ReadonlySet<string> = new Set(["SIGBUS", "SIGSEGV", "SIGABRT", "SIGILL", "SIGFPE"]);
/** What LMDB calls damage. A full disk, a missing permission or a check that takes too long is none: then the ledger stays where it is. */
const damageWords =
  /MDB_(?:CORRUPTED|PAGE_NOTFOUND|INVALID|VERSION_MISMATCH|PANIC|BAD_\w+|CURSOR_FULL|PAGE_FULL)[^\n]*/;

/**
 * Opens the ledger kept in a state folder, or begins one there. One that cannot be read is moved aside as a whole, and a new one is begun: nothing is deleted, and the
 * balancer starts.
 */
export async function openLedger(stateDir: string, observer: Observer): Promise<LmdbLedger> {
  const dir = path.join(stateDir, "ledger");
  const problem = existsSync(path.join(dir, "data.mdb")) ? await problemOf(dir) : undefined;
  if (problem !== undefined) {
    const aside = `${dir}.damaged-${Date.now()}`;
    await rename(dir, aside);
    const detail = `the ledger cannot be read (${problem}); it was moved to ${aside}, and a new one is begun`;
    observer.note({ kind: "quarantined", what: "ledger", detail });
  }
  return new LmdbLedger(dir, (requestNumber, detail) =>
    observer.note({ kind: "quarantined", what: "ledger entry", detail, requestNumber }),
  );
}

/** Reads the ledger in a process of its own: damage inside LMDB can end a process. `undefined` where all is well. */
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
    child.once("close", (_code, signal) => {
      if (signal !== null && damageSignals.has(signal)) resolve(`its check was ended by ${signal}`);
      else resolve(damageWords.exec(words)?.[0]);
    });
  });
}
