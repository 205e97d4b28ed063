import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { everything, tables, work } from "./lmdb-work.js";

const program = fileURLToPath(import.meta.url);

/**
 * What a process of its own finds in an environment with LMDB, and then writes anew, each entry with another length.
 *
 * @throws Error where LMDB ends that process, or says that something is wrong
 */
export async function everythingThenAnew(folder: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, folder], { maxBuffer: 2 ** 30 });
  return JSON.parse(stdout);
}

if (process.argv[1] === program) {
  const folder = process.argv[2] ?? "";
  const found = await everything(folder);
  await work(
    folder,
    tables.map((table) => found.map((_, key) => ({ table, key, bytes: 400 + key }))),
  );
  process.stdout.write(JSON.stringify(found));
}
