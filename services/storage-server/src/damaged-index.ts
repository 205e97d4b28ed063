import { inBatches } from "@bilancia/proto/lmdb/batches";
import type { Entry, LmdbFile } from "@bilancia/proto/lmdb/lmdb-file";
import { mendEnvironment } from "@bilancia/proto/lmdb/mend";
import { type Database, open } from "lmdb";
import type { Logger } from "pino";
import type { Disk } from "./disk.js";
import { indexOptions, indexTables, openTable } from "./index-tables.js";

/**
 * Looks at the index before LMDB opens it, which a damaged page can end the process. A damaged one is moved aside, and what can be read of it takes its place: the records, each with a
 * checksum of its own, and the journal.
 *
 * @throws Error when it cannot be replaced, for want of space for example: it stays where it is then
 */
export async function mendIndex(indexDir: string, disk: Disk, log: Logger): Promise<void> {
  const mended = await mendEnvironment(indexDir, {
    // The last one is that of earlier versions.
    tables: [...indexTables, "owner"],
    sync: (folder) => disk.syncDirectory(folder),
    copy: copyTables,
  });
  if (!mended) return;
  const { problem, aside, copied = { files: 0, packs: 0 } } = mended;
  if (aside === undefined) log.error({ problem }, "index is damaged, goes on without its last commit");
  else log.error({ problem, movedTo: aside, ...copied }, "index was damaged, what can be read of it is taken over");
}

async function copyTables(damaged: LmdbFile, to: string): Promise<{ files: number; packs: number }> {
  const environment = open({ path: to, ...indexOptions });
  try {
    const { files, packs } = damaged.readTables(indexTables);
    return {
      files: await copyInto(openTable(environment, "files"), files),
      packs: await copyInto(openTable(environment, "packs"), packs),
    };
  } finally {
    await environment.close();
  }
}

async function copyInto(table: Database<Buffer, Buffer>, entries: Iterable<Entry>): Promise<number> {
  let count = 0;
  const puts = function* () {
    for (const { key, value } of entries) {
      count += 1;
      yield table.put(Buffer.from(key), Buffer.from(value));
    }
  };
  await inBatches(puts());
  return count;
}
