import { groupCommitOptions } from "@bilancia/proto/lmdb/group-commit";
import type { Database, RootDatabase } from "lmdb";

/** The tables of the index: the records of the files, and the journal. */
export const indexTables = ["files", "packs"] as const;

const bytes = { encoding: "binary", keyEncoding: "binary" } as const;

/** How its environment is opened. */
export const indexOptions = { ...groupCommitOptions, ...bytes } as const;

/** Opens a table of it, or makes it. */
export function openTable(environment: RootDatabase, name: (typeof indexTables)[number]): Database<Buffer, Buffer> {
  return environment.openDB<Buffer, Buffer>({ name, ...bytes });
}
