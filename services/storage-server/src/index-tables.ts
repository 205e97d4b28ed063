/** The tables of the index: the records of the files, and the journal. */
export const indexTables = ["files", "packs"] as const;

/** How its environment and its tables are opened. Without `overlappingSync: false`, a write would resolve before it is flushed. */
export const indexOptions = { overlappingSync: false, encoding: "binary", keyEncoding: "binary" } as const;
