import { join } from "node:path";
import { open } from "lmdb";

/** Opens the journal of a directory behind a server's back, if need be, and does something with its packs. */
function withJournal<T>(
  dir: string,
  act: (packs: [Buffer, Buffer][], put: (key: Buffer, value: Buffer) => void) => T,
): T {
  const environment = open({ path: join(dir, ".bilancia", "index"), encoding: "binary", keyEncoding: "binary" });
  const journal = environment.openDB<Buffer, Buffer>({ name: "packs", encoding: "binary", keyEncoding: "binary" });
  const packs = Array.from(journal.getRange(), ({ key, value }): [Buffer, Buffer] => [
    Buffer.from(key),
    Buffer.from(value),
  ]);
  try {
    return act(packs, (key, value) => journal.putSync(key, value));
  } finally {
    void environment.close();
  }
}

/** How many files a journal holds. */
export function journalLength(dir: string): number {
  return withJournal(dir, (packs) => packs.flatMap(([, pack]) => filesOf(pack)).length);
}

/** Flips the last bit of each file for which that is wanted. */
export function damageJournal(dir: string, isWanted: (content: Buffer, isInLastPack: boolean) => boolean): void {
  withJournal(dir, (packs, put) => {
    for (const [at, [key, pack]] of packs.entries()) {
      for (const file of filesOf(pack))
        if (isWanted(file, at === packs.length - 1))
          file.writeUInt8(file.readUInt8(file.length - 1) ^ 1, file.length - 1);
      put(key, pack);
    }
  });
}

/** The bytes of the files in a pack, which are views of it. */
function filesOf(pack: Buffer): Buffer[] {
  const headLengthBytes = 32;
  const files: Buffer[] = [];
  for (let at = 0; at < pack.length; ) {
    const end = at + headLengthBytes + pack.readUInt32LE(at + 4);
    files.push(pack.subarray(at + headLengthBytes, end));
    at = end;
  }
  return files;
}
