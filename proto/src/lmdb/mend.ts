import { existsSync, statSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import path from "node:path";
import { openDamaged, reading } from "./damaged-file.js";
import { isFormatHere } from "./format.js";
import { restoreHeaders } from "./header.js";
import type { EntryCheck, LmdbFile } from "./lmdb-file.js";
import { DamagedPages } from "./page-file.js";

/** How a damaged environment is replaced. */
export interface MendOptions<Copied> {
  /** The tables that it may have: another name is a damaged one. */
  readonly tables: readonly string[];
  /** Nobody may notice otherwise that something is under another key, and so is not found. Default: nothing is looked at. */
  readonly isWritten?: EntryCheck;
  /** Makes a new environment, durably, of what can be read of the damaged one. */
  readonly copy: (damaged: LmdbFile, successor: string) => Promise<Copied>;
  /** Flushes a folder. */
  readonly sync: (folder: string) => Promise<void>;
}

/** What is damaged: pages, by which LMDB would go astray; an entry, in pages that are sound; or a header, so that the last commit may be missing. */
export type DamagedPart = "pages" | "entry" | "header";

/** What was wrong, and what has come of it. */
export interface Mended<Copied> {
  readonly problem: string;
  readonly of: DamagedPart;
  /** Where the damaged environment is now. Absent where it goes on: LMDB can use it as it is, and there is nothing to put in its place, or no room. */
  readonly aside?: string;
  /** What `copy` says. Absent where nothing could be found. */
  readonly copied?: Copied | undefined;
}

/**
 * Looks at an LMDB environment, kept in a folder of its own, before LMDB opens it. One that is damaged is moved aside as a whole, and what can be read of it takes its place. Nothing is deleted.
 * To be called by the one process that uses it.
 *
 * @returns `undefined` where nothing is wrong, there is none, or it is of a kind that is not known (of a machine with 32 bits, for example)
 * @throws Error when one that LMDB cannot use cannot be replaced, for want of space for example: it stays where it is then, and the next call tries again
 */
export async function mendEnvironment<Copied>(
  dir: string,
  options: MendOptions<Copied>,
): Promise<Mended<Copied> | undefined> {
  const { tables, copy, sync } = options;
  const successor = `${dir}-new`;
  // What is written from now on must not be found under the old name.
  const move = async (from: string, to: string) => {
    await rename(from, to);
    await sync(path.dirname(to));
  };
  // A call was ended when the damaged one had been moved aside, and its successor not yet put in its place.
  if (!existsSync(dir) && existsSync(successor)) await move(successor, dir);
  const file = path.join(dir, "data.mdb");
  // One that is empty was never written: LMDB begins it.
  if (!isFormatHere || !existsSync(file) || statSync(file).size === 0) return undefined;
  restoreHeaders(dir);
  const found = problemIn(file, options);
  if (found === undefined) return undefined;
  const { problem, of } = found;
  if (of === "header") return found;
  // What an earlier call had copied when it was ended: it is all in the damaged one.
  await rm(successor, { recursive: true, force: true });
  const damaged = openDamaged(file, tables, () => {});
  let copied: Copied | undefined;
  try {
    copied = damaged && (await copy(damaged, successor));
  } catch (error) {
    if (of === "pages") throw error;
    await rm(successor, { recursive: true, force: true });
    return { problem: `${problem}; it could not be replaced: ${(error as Error).message}`, of };
  } finally {
    damaged?.close();
  }
  const hasSuccessor = existsSync(successor);
  if (hasSuccessor) await sync(successor);
  const aside = `${dir}.damaged-${Date.now()}`;
  await move(dir, aside);
  if (hasSuccessor) await move(successor, dir);
  return { problem, of, aside, copied };
}

function problemIn(
  file: string,
  { tables, isWritten }: Pick<MendOptions<unknown>, "tables" | "isWritten">,
): Pick<Mended<never>, "problem" | "of"> | undefined {
  const found = reading(file, { tables }, (pages) => {
    const problem = pages.check(isWritten);
    return { problem, hasBothHeaders: pages.hasBothHeaders };
  });
  if (found instanceof DamagedPages) return { problem: found.message, of: "pages" };
  const lostCommit = "one of its two headers is damaged: what was recorded last may be missing";
  const problems = [found.problem ?? [], found.hasBothHeaders ? [] : lostCommit].flat();
  if (problems.length === 0) return undefined;
  return { problem: problems.join("; "), of: found.problem === undefined ? "header" : "entry" };
}
