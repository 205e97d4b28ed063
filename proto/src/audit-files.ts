import { readdir } from "node:fs/promises";
import path from "node:path";

/** The name of a full audit file: the one that is written, with the number of its last entry. */
export function fullAuditFile(file: string, lastSeq: number): string {
  return `${file}.${lastSeq}`;
}

/**
 * The full files of an audit, oldest first: they hold the chain up to where the file that is written goes on.
 *
 * @throws Error when the folder cannot be read
 */
export async function fullAuditFiles(file: string): Promise<string[]> {
  const prefix = `${path.basename(file)}.`;
  const names = await readdir(path.dirname(file)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
    throw error;
  });
  const seqs = names.flatMap((name) => {
    const seq = name.startsWith(prefix) ? name.slice(prefix.length) : "";
    return /^[1-9][0-9]{0,15}$/.test(seq) ? [Number(seq)] : [];
  });
  return seqs.sort((a, b) => a - b).map((seq) => fullAuditFile(file, seq));
}
