import { closeSync, openSync, readSync } from "node:fs";
import path from "node:path";
import { type Database, open } from "lmdb";
import { lostCommitWords } from "./ledger-damage.js";
import { ledgerTables } from "./lmdb-ledger.js";

/**
 * A program of its own: reads a ledger from end to end, and says on standard error what is wrong with it. A damaged one may end the process that reads it, and this one may be
 * ended.
 */
const [, , dir = ""] = process.argv;
const root = open<Buffer, Buffer>({
  path: dir,
  // With it LMDB points to what it has written before that is flushed: a loss of power in the middle of this check would cost the whole ledger.
  overlappingSync: false,
  encoding: "binary",
  keyEncoding: "binary",
  maxDbs: 8,
});
const { pageSize } = root.getStats() as { pageSize: number };
if (!hasBothHeaders(pageSize)) process.stderr.write(`${lostCommitWords}\n`);

const names = Array.from(root.getKeys(), (key) => Buffer.from(key).toString().replace("\0", ""));
throwIfDamaged("of tables", names.length, 0, root);
// A table whose name is damaged would be missed, and made anew without anything in it.
const scratchName = "check";
const strange = names.find((name) => ![...ledgerTables, scratchName].includes(name));
if (strange !== undefined) throw new Error(`MDB_CORRUPTED: there is a table ${JSON.stringify(strange)}`);
for (const name of names) {
  const table = root.openDB<Buffer, Buffer>({ name, encoding: "binary", keyEncoding: "binary" });
  let count = 0;
  let sum = 0;
  let largePages = 0;
  for (const { value } of table.getRange()) {
    count += 1;
    if (value.length >= pageSize) largePages += Math.ceil(value.length / pageSize);
    for (let at = 0; at < value.length; at += 4096) sum += value[at] ?? 0;
  }
  if (sum < 0) throw new Error("bytes are never negative; they are added up to be read");
  throwIfDamaged(name, count, largePages, table);
}
// A transaction that changes something walks through the list of free pages, too.
const scratch = root.openDB<Buffer, Buffer>({ name: scratchName, encoding: "binary", keyEncoding: "binary" });
await scratch.put(Buffer.from("checked"), Buffer.from(String(Date.now())));
await root.close();

/**
 * A damaged page may look like one with less in it, and a damaged length may lead out of the file; but LMDB also keeps how many entries a table has, and how many pages the large
 * ones take.
 */
function throwIfDamaged(name: string, count: number, largePages: number, table: Database<Buffer, Buffer>): void {
  const { entryCount, overflowPages } = table.getStats() as { entryCount: number; overflowPages: number };
  if (count !== entryCount)
    throw new Error(`MDB_CORRUPTED: table ${name} has ${count} entries; expected ${entryCount}`);
  if (largePages > overflowPages) {
    throw new Error(
      `MDB_CORRUPTED: table ${name} needs ${largePages} pages for large entries; it has ${overflowPages}`,
    );
  }
}

/**
 * LMDB writes its two headers in turn, one with each commit, and silently goes by the older one where the newer one is damaged: then the last commit is lost. Whole ones have
 * the magic number, and the numbers of two commits in a row.
 */
function hasBothHeaders(pageBytes: number): boolean {
  const magicAt = 24;
  const commitAt = 152;
  const bytes = Buffer.alloc(2 * pageBytes);
  const file = openSync(path.join(dir, "data.mdb"), "r");
  readSync(file, bytes);
  closeSync(file);
  const [first, second] = [0, pageBytes].map((at) => ({
    isWhole: bytes.readUInt32LE(at + magicAt) === 0xbeefc0de,
    commit: bytes.readBigUInt64LE(at + commitAt),
  }));
  if (!first?.isWhole || !second?.isWhole) return false;
  const between = first.commit - second.commit;
  return between === 1n || between === -1n || (first.commit === 0n && second.commit === 0n);
}
