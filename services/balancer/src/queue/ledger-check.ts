import { statSync } from "node:fs";
import path from "node:path";
import { ledgerTables } from "./ledger.js";
import { corruptedWord, lostCommitWords } from "./ledger-damage.js";
import { DamagedPages, readLedgerPages } from "./ledger-pages.js";

// A program of its own, for it takes seconds with a long ledger: reads it from end to end, and says on standard error what is wrong with it.

/** What the check itself wrote to, in earlier versions. */
const formerTable = "check";

const file = path.join(process.argv[2] ?? "", "data.mdb");
try {
  // One that is empty was never written: LMDB begins it.
  if (statSync(file).size > 0) check();
} catch (error) {
  if (!(error instanceof DamagedPages)) throw error;
  process.stderr.write(`${corruptedWord}: ${error.message}\n`);
}

function check(): void {
  const { tables, hasBothHeaders } = readLedgerPages(file);
  // A table whose name is damaged would be missed, and made anew without anything in it.
  const known: readonly string[] = [...ledgerTables, formerTable];
  const strange = tables.find((name) => !known.includes(name));
  if (strange !== undefined) throw new DamagedPages(`there is a table ${JSON.stringify(strange)}`);
  if (!hasBothHeaders) process.stderr.write(`${lostCommitWords}\n`);
}
