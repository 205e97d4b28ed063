import { inBatches } from "@bilancia/proto/lmdb/batches";
import type { Entry, LmdbFile } from "@bilancia/proto/lmdb/lmdb-file";
import { checkedBytes } from "./checked-bytes.js";
import { DamagedEntry, decodeEntry, type LedgerEntry } from "./ledger-entry.js";
import { LmdbLedger } from "./lmdb-ledger.js";

/** What could be read of a damaged ledger, in uploads. */
export interface Salvaged {
  /** All that were taken over, and those of them that wait for a server. */
  taken: number;
  queued: number;
  /** Entries that are there but are not what was written. */
  damaged: number;
}

/** Copies what can be read of a damaged ledger into a new one. @throws Error when the new ledger cannot be written */
export async function salvageLedger(damaged: LmdbFile, to: string): Promise<Salvaged> {
  const target = new LmdbLedger(to, (requestNumber, problem) => {
    throw new Error(`upload ${requestNumber} in the new ledger: ${problem}`);
  });
  try {
    const salvaged = { taken: 0, queued: 0, damaged: 0 };
    await inBatches(copyInto(target, damaged, salvaged));
    return salvaged;
  } finally {
    await target.close();
  }
}

/** Puts each entry that can be read, and counts them. */
function* copyInto(target: LmdbLedger, damaged: LmdbFile, salvaged: Salvaged): Generator<Promise<void>, void, void> {
  const { entries, bytes } = damaged.readTables(["entries", "bytes"]);
  const bytesOf = valuesByKey(bytes);
  for (const row of entries) {
    const entry = entryIn(row);
    if (!entry) {
      salvaged.damaged += 1;
      continue;
    }
    salvaged.taken += 1;
    if (entry.state === "queued") salvaged.queued += 1;
    const kept = entry.bytesAt === "ledger" ? bytesOf(row.key) : undefined;
    yield target.put(entry, kept && Uint8Array.from(kept));
  }
}

function entryIn({ key, value }: Entry): LedgerEntry | undefined {
  try {
    const entry = decodeEntry(value);
    return key.length === 8 && key.readBigUInt64BE(0) === entry.requestNumber ? entry : undefined;
  } catch (error) {
    if (error instanceof DamagedEntry) return undefined;
    throw error;
  }
}

/** Finds the bytes under keys that are asked for in their order; `undefined` where there are none, or they are damaged. */
function valuesByKey(rows: Iterator<Entry>): (key: Buffer) => Uint8Array | undefined {
  let row = rows.next();
  return (key) => {
    while (!row.done && Buffer.compare(row.value.key, key) < 0) row = rows.next();
    return !row.done && row.value.key.equals(key) ? checkedBytes(row.value.value) : undefined;
  };
}
