import { open } from "lmdb";

/** A program of its own: reads a ledger from end to end. A damaged one may end the process that reads it, and this one may be ended. */
const [, , dir = ""] = process.argv;
const root = open<Buffer, Buffer>({ path: dir, encoding: "binary", keyEncoding: "binary", maxDbs: 8 });
let sum = 0;
for (const name of ["entries", "ids", "bytes", "open", "quarantine"]) {
  const table = root.openDB<Buffer, Buffer>({ name, encoding: "binary", keyEncoding: "binary" });
  for (const { value } of table.getRange()) for (let at = 0; at < value.length; at += 4096) sum += value[at] ?? 0;
}
// A transaction that changes something walks through the list of free pages, too.
const scratch = root.openDB<Buffer, Buffer>({ name: "check", encoding: "binary", keyEncoding: "binary" });
await scratch.put(Buffer.from("sum"), Buffer.from(String(sum)));
await root.close();
