import { inBatches } from "@bilancia/proto/lmdb/batches";
import type { Entry, LmdbFile } from "@bilancia/proto/lmdb/lmdb-file";
import { checkedBytes } from "./checked-bytes.js";
import { DamagedEntry, decodeEntry, type LedgerEntry, numberWritten } from "./ledger-entry.js";
import { numberKey } from "./ledger-rows.js";
import { LmdbLedger } from "./lmdb-ledger.js";

/** What could be read of a damaged ledger, in uploads. */
export interface Salvaged {
  /** All that were taken over, and those of them that wait for a server. */
  taken: number;
  queued: number;
  /** Entries that are there but are not what was written. */
  damaged: number;
}

/** An entry, and its bytes where they are in the ledger. */
interface Kept {
  readonly entry: LedgerEntry;
  readonly bytes: Uint8Array | undefined;
}

/** Copies what can be read of a damaged ledger into a new one. @throws Error when the new ledger cannot be written */
export async function salvageLedger(damaged: LmdbFile, to: string): Promise<Salvaged> {
  const target = new LmdbLedger(to, (requestNumber, problem) => {
    throw new Error(`upload ${requestNumber} in the new ledger: ${problem}`);
  });
  try {
    const salvaged = { taken: 0, queued: 0, damaged: 0 };
    const put = ({ entry, bytes }: Kept) => {
      salvaged.taken += 1;
      if (entry.state === "queued") salvaged.queued += 1;
      return target.put(entry, bytes);
    };
    const strays: Kept[] = [];
    await inBatches(copyOf(damaged, put, strays, () => salvaged.damaged++));
    for (const stray of strays) {
      const { requestNumber, description } = stray.entry;
      if (target.find({ requestNumber })) continue;
      const named = target.find({ uploadId: description.uploadId });
      await put(stray);
      // The id of an upload that was given up may name a later one.
      if (named && named.requestNumber > requestNumber) await target.put(named, undefined, false);
    }
    return salvaged;
  } finally {
    await target.close();
  }
}

/** Puts each entry that can be read, but for those that lie under a wrong key: what lies under the right one comes first. */
function* copyOf(
  damagedFile: LmdbFile,
  put: (kept: Kept) => Promise<void>,
  strays: Kept[],
  onDamaged: () => void,
): Generator<Promise<void>, void, void> {
  const { entries, bytes } = damagedFile.readTables(["entries", "bytes"]);
  const bytesOf = valuesByKey(bytes);
  for (const row of entries) {
    const entry = entryIn(row);
    if (!entry) {
      onDamaged();
      continue;
    }
    const key = numberKey(entry.requestNumber);
    // Where its own key is damaged it still lies in its place, so its bytes come in their order.
    const found = entry.bytesAt === "ledger" ? bytesOf(key) : undefined;
    const kept = { entry, bytes: found && Uint8Array.from(found) };
    if (key.equals(row.key)) yield put(kept);
    else strays.push(kept);
  }
}

/** An entry that is what was put under the number that it says itself. */
function entryIn({ value }: Entry): LedgerEntry | undefined {
  const requestNumber = numberWritten(value);
  if (requestNumber === undefined) return undefined;
  try {
    return decodeEntry(value, numberKey(requestNumber));
  } catch (error) {
    if (error instanceof DamagedEntry) return undefined;
    throw error;
  }
}

/** Finds the bytes under keys that are asked for in their order; `undefined` where there are none, or they are damaged. */
function valuesByKey(rows: Iterator<Entry>): (key: Buffer) => Uint8Array | undefined {
  let row = rows.next();
  return (key) => {
    while (!row.done && (row.value.isStray || Buffer.compare(row.value.key, key) < 0)) row = rows.next();
    return !row.done && row.value.key.equals(key) ? checkedBytes(row.value.value) : undefined;
  };
}
