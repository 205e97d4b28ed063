import path from "node:path";
import { mendEnvironment } from "@bilancia/proto/lmdb/mend";
import type { Observer } from "../ports/observer.js";
import type { FlushFailed } from "./flush-failed.js";
import { syncFolder } from "./folder.js";
import { isWritten, ledgerTables } from "./ledger-rows.js";
import { type Salvaged, salvageLedger } from "./ledger-salvage.js";
import { LmdbLedger } from "./lmdb-ledger.js";

const nothing: Salvaged = { taken: 0, queued: 0, damaged: 0 };
/** What earlier versions had beside the ledger's own tables. */
const formerTable = "check";

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
  const mended = await mendEnvironment(dir, {
    tables: [...ledgerTables, formerTable],
    isWritten,
    sync: syncFolder,
    copy: salvageLedger,
  });
  // To go on with wrong rows would lose what they lead to, and the next start would not see it any more.
  if (mended?.of === "entry" && mended.aside === undefined) throw new Error(`the ledger: ${mended.problem}`);
  if (mended && mended.aside === undefined)
    observer.note({ kind: "quarantined", what: "ledger header", detail: `the ledger: ${mended.problem}` });
  if (mended?.aside !== undefined) {
    const { taken, queued, damaged } = mended.copied ?? nothing;
    const read = `${taken} of its uploads could be read and are taken over, ${queued} of them queued`;
    const left = `what could not be read stays there${damaged > 0 ? `, ${damaged} damaged entries at least` : ""}`;
    const detail = `the ledger is damaged (${mended.problem}); it was moved to ${mended.aside}; ${read}; ${left}`;
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
