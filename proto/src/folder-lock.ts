import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { constants as system } from "node:os";
import path from "node:path";
import { findCFunction, findErrorNumber } from "./c-function.js";
import { isFull } from "./system-error.js";

/** The process that holds a lock. Number and start time together name it, so that a number that is used again is not mistaken for it. */
interface Owner {
  readonly pid: number;
  readonly startedAt: string;
}

/** Takes the lock of an open file, where nobody holds it. `unknown`: there are no locks here that the system takes back. */
type Lock = (file: number) => "taken" | "held" | "unknown";

/** `LOCK_EX | LOCK_NB`, see flock(2). */
const exclusiveAtOnce = 2 | 4;

/**
 * Takes a folder for this process alone: see `takeLock`. The file of the lock is `lock`, in the folder.
 *
 * @param folder must be there
 */
export function lockFolder(folder: string, lock?: Lock): Promise<() => void> {
  return takeLock(path.join(folder, "lock"), lock);
}

/**
 * Takes a lock for this process alone, until it gives it back or ends, however it ends.
 *
 * The lock is that of a file, which the system gives to one process and takes back from one that is killed (`flock`, which Node has not). The file says which process it
 * is. Where there is no such call, what it says is all there is: two processes that start at the same moment are not told apart then.
 *
 * @param name of the file, in a folder that must be there
 * @returns a function that gives the lock back
 * @throws Error when another process has it, or has not given it back yet; the message says which
 */
export async function takeLock(name: string, lock: Lock = systemLock): Promise<() => void> {
  const file = openSync(name, constants.O_RDWR | constants.O_CREAT, 0o644);
  try {
    const owner = readOwner(name);
    const taken = lock(file);
    const isHeld = taken === "held" || (taken === "unknown" && owner && startOf(owner.pid) === owner.startedAt);
    if (isHeld) throw new Error(`it is in use by ${owner ? `process ${owner.pid}` : "another process"}`);
    writeOwner(file, taken);
  } catch (error) {
    closeSync(file);
    throw error;
  }
  return () => {
    ftruncateSync(file);
    closeSync(file);
  };
}

const systemLock = await findLock();

async function findLock(): Promise<Lock> {
  const [flock, errorNumber] = await Promise.all([
    findCFunction("int flock(int fd, int operation)"),
    findErrorNumber(),
  ]);
  if (!flock || !errorNumber) return () => "unknown";
  return (file) => {
    if (flock(file, exclusiveAtOnce) === 0) return "taken";
    // Some file systems know no locks.
    return errorNumber() === system.errno.EWOULDBLOCK ? "held" : "unknown";
  };
}

/** `undefined` where nobody has written it, or not to the end. */
function readOwner(file: string): Owner | undefined {
  try {
    const { pid, startedAt } = (JSON.parse(readFileSync(file, "utf8")) ?? {}) as Partial<Owner>;
    return typeof pid === "number" && typeof startedAt === "string" ? { pid, startedAt } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function writeOwner(file: number, taken: ReturnType<Lock>): void {
  const self: Owner = { pid: process.pid, startedAt: startOf(process.pid) ?? "" };
  try {
    ftruncateSync(file);
    writeSync(file, JSON.stringify(self), 0);
  } catch (error) {
    // A full disk must not keep anybody from starting: whose it is is for people only then.
    if (taken !== "taken" || !isFull(error)) throw error;
  }
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
