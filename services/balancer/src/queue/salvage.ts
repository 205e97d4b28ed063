import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { damageIn, damageSignals } from "./ledger-damage.js";

/** What could be read of a damaged ledger, in uploads. */
export interface Salvaged {
  /** All that were taken over, and those of them that wait for a server. */
  readonly taken: number;
  readonly queued: number;
  /** Entries that are there but are not what was written. */
  readonly damaged: number;
}

const salvageScript = fileURLToPath(new URL("./ledger-salvage.js", import.meta.url));
/** Entries that become durable together, pass after pass: what is in one page with the damage is not taken over. */
const pages = [500, 25, 1];
/** A pass that does not come on for so long is stuck in the damage, in milliseconds. */
const stuckMs = 30_000;

/** Where a pass reads, and what it told. */
interface Pass {
  low: bigint;
  high: bigint;
  taken: number;
  queued: number;
  damaged: number;
}

/**
 * Copies what can be read of a damaged ledger into a new one: from the beginning up to where reading ends, then from the end down to there; close to the damage entry by
 * entry. The damaged ledger is not changed.
 *
 * @throws Error when the new ledger cannot be written
 */
export async function salvageLedger(from: string, to: string): Promise<Salvaged> {
  const pass: Pass = { low: -1n, high: 2n ** 64n - 1n, taken: 0, queued: 0, damaged: 0 };
  for (const direction of ["forward", "backward"]) {
    for (const page of pages) {
      if (await runPass([from, to, direction, String(page)], pass)) return pass;
    }
  }
  return pass;
}

/** @returns whether the pass came to the end of what it was to read */
function runPass(args: readonly string[], pass: Pass): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const bounds = [String(pass.low), String(pass.high)];
    const child = spawn(process.execPath, [salvageScript, ...args, ...bounds], { stdio: ["ignore", "pipe", "pipe"] });
    let words = "";
    let stuck = false;
    const watch = setTimeout(() => {
      stuck = true;
      child.kill("SIGKILL");
    }, stuckMs);
    child.stderr.on("data", (data: Buffer) => {
      if (words.length < 2_000) words += data.toString();
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      watch.refresh();
      const report = JSON.parse(line) as Record<keyof Pass, string | number>;
      pass.low = BigInt(report.low);
      pass.high = BigInt(report.high);
      for (const name of ["taken", "queued", "damaged"] as const) pass[name] += Number(report[name]);
    });
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(watch);
      if (code === 0) resolve(true);
      else if (stuck || (signal !== null && damageSignals.has(signal)) || damageIn(words)) resolve(false);
      else reject(new Error(`what can be read of the damaged ledger could not be taken over: ${words || signal}`));
    });
  });
}
