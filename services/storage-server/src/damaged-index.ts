import type { Entry, LmdbFile } from "@bilancia/proto/lmdb/lmdb-file";
import { mendEnvironment } from "@bilancia/proto/lmdb/mend";
import { type Database, open } from "lmdb";
import type { Logger } from "pino";
import type { Disk } from "./disk.js";
import { indexOptions, indexTables } from "./index-tables.js";

/** Entries that become durable together. */
const batchEntries = 500;

/**
 * Looks at the index before LMDB opens it, which a damaged page can end the process. A damaged one is moved aside, and what can be read of it takes its place: the records, each with a
 * checksum of its own, and the journal.
 *
 * @throws Error when it cannot be replaced, for want of space for example: it stays where it is then
 */
export async function mendIndex(indexDir: string, disk: Disk, log: Logger): Promise<void> {
  let taken = { files: 0, packs: 0 };
  const mended = await mendEnvironment(indexDir, {
    // The last one is that of earlier versions.
    tables: [...indexTables, "owner"],
    sync: (folder) => disk.syncDirectory(folder),
    copy: async (damaged, successor) => {
      taken = await copyTables(damaged, successor);
    },
  });
  if (!mended) return;
  const { problem, aside } = mended;
  if (aside === undefined) log.error({ problem }, "index is damaged, goes on without its last commit");
  else log.error({ problem, movedTo: aside, ...taken }, "index was damaged, what can be read of it is taken over");
}

async function copyTables(damaged: LmdbFile, to: string): Promise<{ files: number; packs: number }> {
  const environment = open({ path: to, ...indexOptions });
  try {
    const { files, packs } = damaged.readTables(indexTables);
    const table = (name: (typeof indexTables)[number]) => environment.openDB<Buffer, Buffer>({ name, ...indexOptions });
    return { files: await copyInto(table("files"), files), packs: await copyInto(table("packs"), packs) };
  } finally {
    await environment.close();
  }
}

async function copyInto(table: Database<Buffer, Buffer>, entries: Iterable<Entry>): Promise<number> {
  let count = 0;
  let batch: Promise<boolean>[] = [];
  for (const { key, value } of entries) {
    batch.push(table.put(Buffer.from(key), Buffer.from(value)));
    count += 1;
    if (batch.length < batchEntries) continue;
    await Promise.all(batch);
    batch = [];
  }
  await Promise.all(batch);
  return count;
}
