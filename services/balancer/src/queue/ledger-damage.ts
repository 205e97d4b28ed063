/** How reading a damaged ledger ends a process. */
export const damageSignals: ReadonlySet<string> = new Set(["SIGBUS", "SIGSEGV", "SIGABRT", "SIGILL", "SIGFPE"]);

/** How LMDB, and the check of the ledger, call what is not as LMDB left it. */
export const corruptedWord = "MDB_CORRUPTED";

/** What LMDB calls damage. A full disk, a missing permission or a check that takes too long is none: then the ledger stays where it is. */
const damageWords =
  /MDB_(?:CORRUPTED|PAGE_NOTFOUND|INVALID|VERSION_MISMATCH|PANIC|BAD_\w+|CURSOR_FULL|PAGE_FULL)[^\n]*/;

/** What a process that ended says of damage; `undefined` where it is about something else. */
export function damageIn(words: string): string | undefined {
  return damageWords.exec(words)?.[0];
}

/** What the check of the ledger says where a damaged header may have cost the last commit. */
export const lostCommitWords = "one of the ledger's two headers is damaged: what was recorded last may be missing";
