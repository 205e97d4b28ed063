import { inBatches } from "@bilancia/proto/lmdb/batches";
import type { Entry, LmdbFile } from "@bilancia/proto/lmdb/lmdb-file";
import { mendEnvironment } from "@bilancia/proto/lmdb/mend";
import { type Database, open } from "lmdb";
import type { Logger } from "pino";
import type { Disk } from "./disk.js";
import { isRecord } from "./file-index.js";
import { indexOptions, indexTables, openTable } from "./index-tables.js";

/**
 * Looks at the index before LMDB opens it, which a damaged page can end the process. A damaged one is moved aside, and what can be read of it takes its place: the records, each with a
 * checksum of its own, and the journal. A record that is not what was written is damage, too: under a wrong key nobody would miss it.
 *
 * @throws Error when it cannot be replaced, for want of space for example: it stays where it is then
 */
export async function mendIndex(indexDir: string, disk: Disk, log: Logger): Promise<void> {
  const mended = await mendEnvironment(indexDir, {
    // The last one is that of earlier versions.
    tables: [...indexTables, "owner"],
    isWritten: (table, entry) => table !== "files" || isSoundRecord(entry),
    sync: (folder) => disk.syncDirectory(folder),
    copy: copyTables,
  });
  if (!mended) return;
  const { problem, aside, copied = { files: 0, packs: 0 } } = mended;
  if (aside === undefined) log.error({ problem }, "index is damaged, and used as it is");
  else log.error({ problem, movedTo: aside, ...copied }, "index was damaged, what can be read of it is taken over");
}

async function copyTables(damaged: LmdbFile, to: string): Promise<{ files: number; packs: number }> {
  const environment = open({ path: to, ...indexOptions });
  try {
    const { files, packs } = damaged.readTables(indexTables);
    return {
      files: await copyInto(openTable(environment, "files"), files, isSoundRecord),
      packs: await copyInto(openTable(environment, "packs"), packs, ({ isStray }) => !isStray),
    };
  } finally {
    await environment.close();
  }
}

function isSoundRecord({ key, value }: Entry): boolean {
  return isRecord(key, value);
}

async function copyInto(
  table: Database<Buffer, Buffer>,
  entries: Iterable<Entry>,
  isSound: (entry: Entry) => boolean,
): Promise<number> {
  let count = 0;
  const puts = function* () {
    for (const entry of entries) {
      if (!isSound(entry)) continue;
      count += 1;
      yield table.put(Buffer.from(entry.key), Buffer.from(entry.value));
    }
  };
  await inBatches(puts());
  return count;
}
