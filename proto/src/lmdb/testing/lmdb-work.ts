import { type Database, open } from "lmdb";

/** The tables of the environments that tests make. */
export const tables = ["a", "b"] as const;

/** One table's write: of so many bytes, or the removal. */
export interface Write {
  readonly table: (typeof tables)[number];
  readonly key: number;
  readonly bytes: number | undefined;
}

/** Has LMDB write to the environment in a folder, or begin one: each batch is a commit. */
export function work(folder: string, batches: readonly (readonly Write[])[]): Promise<void> {
  return withLmdb(folder, async (table, commit) => {
    for (const batch of batches)
      await commit(() => {
        for (const { table: name, key, bytes } of batch) {
          const keyBytes = Buffer.from(`key ${key}`);
          if (bytes === undefined) void table(name).remove(keyBytes);
          else void table(name).put(keyBytes, Buffer.alloc(bytes, key));
        }
      });
  });
}

/** Everything that LMDB finds, as text. */
export function everything(folder: string): Promise<string[]> {
  return withLmdb(folder, async (table) =>
    tables.flatMap((name) => Array.from(table(name).getRange(), (entry) => asText(name, entry))),
  );
}

export function asText(name: string, { key, value }: { key: Buffer; value: Buffer }): string {
  return `${name} ${key.toString("hex")} ${value.toString("hex")}`;
}

async function withLmdb<T>(
  folder: string,
  run: (
    table: (name: Write["table"]) => Database<Buffer, Buffer>,
    commit: (writes: () => void) => Promise<unknown>,
  ) => Promise<T>,
): Promise<T> {
  const bytes = { encoding: "binary", keyEncoding: "binary" } as const;
  const root = open<Buffer, Buffer>({ path: folder, overlappingSync: false, ...bytes });
  const opened = new Map(tables.map((name) => [name, root.openDB<Buffer, Buffer>({ name, ...bytes })]));
  try {
    return await run(
      (name) => opened.get(name) as Database<Buffer, Buffer>,
      (writes) => root.transaction(writes),
    );
  } finally {
    await root.close();
  }
}
