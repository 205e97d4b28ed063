import { readFileSync } from "node:fs";
import type { Database, RootDatabase } from "lmdb";

/** The process that uses a directory. Number and start time together name it, so that a reused number is not mistaken for it. */
interface Owner {
  readonly pid: number;
  readonly startedAt: string;
}

/**
 * Takes a directory for this process alone. The owner is noted in a write transaction of the index, which LMDB gives to one process at a
 * time and takes back from a killed one; so a lock left behind by `kill -9` is seen as such, and two processes cannot both take it.
 *
 * @returns a function that gives the directory back
 * @throws Error when another live process holds it; the message says which
 */
export function lockDirectory(environment: RootDatabase): () => void {
  const table: Database<Owner, string> = environment.openDB<Owner, string>({ name: "owner", encoding: "json" });
  const self: Owner = { pid: process.pid, startedAt: startOf(process.pid) ?? "" };
  // A value is returned, not thrown, so that the transaction ends in the usual way.
  const other = table.transactionSync(() => {
    const owner = table.get("owner");
    if (owner && startOf(owner.pid) === owner.startedAt) return owner;
    table.putSync("owner", self);
    return undefined;
  });
  if (other) throw new Error(`it is in use by process ${other.pid}`);
  return () => {
    table.removeSync("owner");
  };
}

/** When a process began, in a form that only serves to compare; `undefined` for a process that is not alive. */
function startOf(pid: number): string | undefined {
  if (process.platform !== "linux") return isAlive(pid) ? "" : undefined;
  try {
    // proc(5): state and start time are the 3rd and 22nd field; the 2nd, in brackets, may hold anything, so count from its end.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()}/${fields[19]}`;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, but is somebody else's.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
