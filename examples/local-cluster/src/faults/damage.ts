import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Random } from "./random.js";

/** What was done to one file of a state folder. */
export interface Harm {
  /** The upload whose spool file it is; `undefined` for the ledger. */
  readonly requestNumber: number | undefined;
  /** For people. */
  readonly text: string;
}

/** Damages one file of a stopped balancer's spool or ledger. */
export function damageOne(stateDir: string, random: Random): Harm {
  const ledgerFile = path.join("ledger", "data.mdb");
  const spoolFiles = filesIn(stateDir).filter((name) => !name.endsWith(".mdb"));
  const victim = random.next() < 0.5 ? ledgerFile : random.pick([ledgerFile, ...spoolFiles]);
  const requestNumber = victim === ledgerFile ? undefined : Number.parseInt(path.basename(victim), 10);
  return { requestNumber, text: `${victim}, ${damage(path.join(stateDir, victim), random)}` };
}

/** Bytes of all spool files, and of the ledger whether in place or aside. */
export function bytesIn(stateDir: string): number {
  return filesIn(stateDir).reduce((sum, name) => sum + statSync(path.join(stateDir, name)).size, 0);
}

function damage(file: string, random: Random): string {
  const bytes = readFileSync(file);
  // Not in the room that the ledger keeps ready at its end, where damage would mean nothing.
  const usedBytes = bytes.findLastIndex((byte) => byte !== 0) + 1;
  const at = random.between(0, Math.max(0, usedBytes - 1));
  const harm = random.pick(["a bit flipped", "cut off", "a page of zeros", "garbage at the end"]);
  if (harm === "cut off") truncateSync(file, at);
  else if (harm === "garbage at the end") writeFileSync(file, random.bytes(random.between(1, 9_000)), { flag: "a" });
  else {
    if (harm === "a bit flipped") bytes[at] = (bytes[at] ?? 0) ^ (1 << random.between(0, 7));
    else bytes.fill(0, at - (at % 4096), Math.min(bytes.length, at - (at % 4096) + 4096));
    writeFileSync(file, bytes);
  }
  return `${harm} at ${at} of ${bytes.length}`;
}

/** The files that may be damaged, by path; the numbering is the operator's to restore, and lock files hold nothing. */
function filesIn(stateDir: string): string[] {
  const names = readdirSync(stateDir, { recursive: true, encoding: "utf8" });
  return names.filter((name) => /[.](part|index)$|data[.]mdb$/.test(name)).sort();
}
