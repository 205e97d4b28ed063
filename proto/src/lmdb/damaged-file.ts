import { LmdbFile, type ReadOptions } from "./lmdb-file.js";
import { type CommitChoice, DamagedPages } from "./page-file.js";

/**
 * Opens a damaged file in the way in which most of it can be read: all but what the damage is in.
 *
 * @param onDamage hears of what is damaged, while it is read
 * @returns `undefined` where there is no header, so that nothing can be found
 */
export function openDamaged(
  file: string,
  tables: readonly string[],
  onDamage: (damage: DamagedPages) => void,
): LmdbFile | undefined {
  // Without the list of tables, or a table's only page, nothing of them could be found. Those of the commit before are still there: the list always, the page where the last commit wrote it anew.
  const hasRoots = (commit: CommitChoice) => isFound(reading(file, { tables, commit }, (pages) => pages.checkRoots()));
  const commit = !hasRoots("last") && hasRoots("before") ? "before" : "last";
  const found = reading(file, { tables, commit, onDamage: () => {} }, (pages) => pages.findLost());
  if (!isFound(found)) return undefined;
  // Where nothing is wrong without the list of free pages, and more is found, the damage is in that list.
  const whole = reading(file, { tables, commit }, (pages) => pages.readAll());
  const isFreeWrong = isFound(whole) && whole > found.entries;
  return new LmdbFile(file, { tables, commit, onDamage, lost: isFreeWrong ? undefined : found.lost });
}

/** What is found in a file, or what is wrong with it. */
export function reading<Found>(
  file: string,
  options: ReadOptions,
  find: (pages: LmdbFile) => Found,
): Found | DamagedPages {
  let pages: LmdbFile | undefined;
  try {
    pages = new LmdbFile(file, options);
    return find(pages);
  } catch (error) {
    if (error instanceof DamagedPages) return error;
    throw error;
  } finally {
    pages?.close();
  }
}

function isFound<Found>(found: Found | DamagedPages): found is Found {
  return !(found instanceof DamagedPages);
}
