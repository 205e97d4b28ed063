import type { Dirent, Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describeError } from "@bilancia/proto/system-error";
import { readingProblem } from "../client/file-source.js";
import { UsageError } from "./command-context.js";

/** What a folder has to send. A dangling link, a pipe and the like stand for themselves, with a length of 0: sending them fails, and tells why. */
export interface FolderFile {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** Why it cannot be sent, where that is known already. */
  readonly problem?: string;
}

/**
 * What there is to send in a folder itself, by name: all but folders and what is hidden.
 *
 * @param argument what the user calls the folder, for the message
 * @throws UsageError when it is missing, no folder, or has no such file
 */
export async function listFolder(path: string, argument: string): Promise<FolderFile[]> {
  const entries = await readFolder(path, argument);
  const files: FolderFile[] = [];
  for (const { name } of entries) {
    if (name.startsWith(".")) continue;
    const found = await statOrNothing(join(path, name));
    if (!found?.isDirectory()) files.push({ name, path: join(path, name), sizeBytes: found?.size ?? 0 });
  }
  if (files.length === 0)
    throw new UsageError(
      `${argument}: the folder '${path}' is empty; expected at least one file in it (hidden ones do not count)`,
    );
  return files;
}

/**
 * What there is to send under a folder, hidden files and folders left out, in the order of their names. Links to folders are not followed. What
 * cannot be read stands for itself, folders too, so that it is missed by nobody.
 *
 * @throws UsageError when the folder itself cannot be read
 */
export async function* walkFolder(path: string): AsyncGenerator<FolderFile, void, void> {
  yield* walkEntries(path, await readFolder(path, "PATH"));
}

async function* walkEntries(path: string, entries: readonly Dirent[]): AsyncGenerator<FolderFile, void, void> {
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const inner = join(path, entry.name);
    if (entry.isDirectory()) {
      const innerEntries = await sortedEntries(inner).catch((error: unknown) => readingProblem(inner, error));
      if (typeof innerEntries !== "string") yield* walkEntries(inner, innerEntries);
      else yield { name: entry.name, path: inner, sizeBytes: 0, problem: innerEntries };
    } else {
      const found = await statOrNothing(inner);
      if (!found?.isDirectory()) yield { name: entry.name, path: inner, sizeBytes: found?.size ?? 0 };
    }
  }
}

async function readFolder(path: string, argument: string): Promise<Dirent[]> {
  try {
    return await sortedEntries(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === "ENOENT"
        ? `the folder '${path}' does not exist; expected a folder with files to send`
        : code === "ENOTDIR"
          ? `'${path}' is not a folder; expected a folder with files to send`
          : `cannot read the folder '${path}': ${describeError(error)}`;
    throw new UsageError(`${argument}: ${why}`, { cause: error });
  }
}

async function sortedEntries(path: string): Promise<Dirent[]> {
  const entries = await readdir(path, { withFileTypes: true });
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function statOrNothing(path: string): Promise<Stats | undefined> {
  return stat(path).catch(() => undefined);
}
