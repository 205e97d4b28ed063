import { type Database, open } from "lmdb";
import { checkedBytes } from "./checked-bytes.js";
import { DamagedEntry, decodeEntry, type LedgerEntry } from "./ledger-entry.js";
import { LmdbLedger } from "./lmdb-ledger.js";

// A program of its own, because a damaged ledger may end whoever reads it: copies the entries with numbers between two others into another ledger, in pages, and tells after
// each page how far it has come. Nothing is written to the damaged one.
const [, , from = "", to = "", direction = "", pageText = "", afterText = "", beforeText = ""] = process.argv;
const backward = direction === "backward";
const [page, after, before] = [Number(pageText), BigInt(afterText), BigInt(beforeText)];

const source = open<Buffer, Buffer>({
  path: from,
  readOnly: true,
  encoding: "binary",
  keyEncoding: "binary",
  maxDbs: 8,
});
// A table whose name is lost in the damage cannot be opened, and LMDB's types do not say so.
const table = (name: string): Database<Buffer, Buffer> | undefined =>
  source.openDB<Buffer, Buffer>({ name, encoding: "binary", keyEncoding: "binary" });
const [entries, bytes] = [table("entries"), table("bytes")];
const target = new LmdbLedger(to, (requestNumber, problem) => {
  throw new Error(`upload ${requestNumber} in the new ledger: ${problem}`);
});

function keyOf(requestNumber: bigint): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(requestNumber);
  return key;
}

function entryOf(key: Buffer, value: Buffer): LedgerEntry | undefined {
  try {
    const entry = decodeEntry(value);
    return keyOf(entry.requestNumber).equals(key) ? entry : undefined;
  } catch (error) {
    if (error instanceof DamagedEntry) return undefined;
    throw error;
  }
}

function take(entry: LedgerEntry): Promise<void> {
  // Its id may name a later upload, which was taken before this one.
  const named = target.find({ uploadId: entry.description.uploadId });
  if (named && named.requestNumber > entry.requestNumber) return target.amend(entry);
  const kept = entry.bytesAt === "ledger" ? bytes?.get(keyOf(entry.requestNumber)) : undefined;
  return target.put(entry, kept && checkedBytes(kept));
}

let [low, high] = [after, before];
for (;;) {
  const range = backward ? { start: keyOf(high - 1n), reverse: true } : { start: keyOf(low + 1n) };
  const found: { number: bigint; entry: LedgerEntry | undefined }[] = [];
  for (const { key, value } of entries?.getRange({ ...range, limit: page }) ?? []) {
    const number = key.length === 8 ? key.readBigUInt64BE(0) : -1n;
    // Damage may lead in circles.
    if (number <= low || number >= high) break;
    if (backward) high = number;
    else low = number;
    found.push({ number, entry: entryOf(key, value) });
  }
  if (found.length === 0) break;
  if (backward) found.reverse();
  const taken = found.flatMap(({ entry }) => (entry ? [entry] : []));
  await Promise.all(taken.map(take));
  const report = {
    ...{ low: String(low), high: String(high), taken: taken.length, damaged: found.length - taken.length },
    queued: taken.filter(({ state }) => state === "queued").length,
  };
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
await target.close();
