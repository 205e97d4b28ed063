import { join } from "node:path";
import { open } from "lmdb";

/** Opens the journal of a directory behind a server's back, if need be, and does something with its entries. */
function withJournal<T>(
  dir: string,
  act: (entries: [Buffer, Buffer][], put: (key: Buffer, value: Buffer) => void) => T,
): T {
  const environment = open({ path: join(dir, ".bilancia", "index"), encoding: "binary", keyEncoding: "binary" });
  const journal = environment.openDB<Buffer, Buffer>({ name: "journal", encoding: "binary", keyEncoding: "binary" });
  const entries = Array.from(journal.getRange(), ({ key, value }): [Buffer, Buffer] => [
    Buffer.from(key),
    Buffer.from(value),
  ]);
  try {
    return act(entries, (key, value) => journal.putSync(key, value));
  } finally {
    void environment.close();
  }
}

/** How many files a journal holds. */
export function journalLength(dir: string): number {
  return withJournal(dir, (entries) => entries.length);
}

/** Flips a bit of the last byte of each entry for which that is wanted. */
export function damageJournal(dir: string, isWanted: (content: Buffer) => boolean): void {
  withJournal(dir, (entries, put) => {
    for (const [key, value] of entries) {
      if (!isWanted(value)) continue;
      value.writeUInt8(value.readUInt8(value.length - 1) ^ 1, value.length - 1);
      put(key, value);
    }
  });
}
