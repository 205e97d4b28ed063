import { readdir, stat } from "node:fs/promises";
import path from "node:path";

/** A file that a storage server keeps. */
export interface StoredFile {
  /** `<request number>_<name>`. */
  readonly storedName: string;
  /** The name the client gave. */
  readonly name: string;
  readonly requestNumber: number;
  readonly path: string;
  readonly sizeBytes: number;
}

/** Lists the stored files of a server's folder, by request number. The server's own bookkeeping is left out. */
export async function storedFiles(dir: string): Promise<StoredFile[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile() && !entry.name.startsWith(".")).map((entry) => entry.name);
  const files = await Promise.all(
    names.map(async (storedName) => {
      const filePath = path.join(dir, storedName);
      const underscore = storedName.indexOf("_");
      return {
        storedName,
        name: storedName.slice(underscore + 1),
        requestNumber: Number(storedName.slice(0, underscore)),
        path: filePath,
        sizeBytes: (await stat(filePath)).size,
      };
    }),
  );
  return files.sort((a, b) => a.requestNumber - b.requestNumber);
}

/** A length in bytes, for people: `58.0 KiB`. */
export function humanBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
