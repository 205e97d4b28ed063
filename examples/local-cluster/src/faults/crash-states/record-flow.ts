import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { deserialize, serialize } from "node:v8";
import { type DiskRecord, type FirstNode, readRecord, readTree } from "./disk-record.js";

/** A program that works on a folder, to be recorded: `node <script> <root> <marks> <args>`. It ends by itself, or kills itself. */
export interface Flow {
  readonly name: string;
  /** Flows of one subject go on in the same folder, one after another. */
  readonly subject: "storage" | "queue";
  readonly args: readonly string[];
  /** Does something to the folder before. */
  readonly prepare?: (root: string) => void;
}

interface Beginning {
  readonly root: string;
  readonly tree: ReadonlyMap<number, FirstNode>;
  readonly earlierMarks: readonly string[];
}

/** All calls that change files or folders, and those needed to follow them. */
const tracedCalls = [
  "open openat close lseek write writev pwrite64 pwritev pwritev2 ftruncate truncate fallocate mmap statx fstat",
  "fsync fdatasync syncfs sync sync_file_range link linkat unlink unlinkat rename renameat renameat2 rmdir mkdir",
  "mkdirat symlink symlinkat copy_file_range sendfile clone clone3 fork vfork",
].flatMap((line) => line.split(" "));

/** @throws Error where strace is missing, or may not trace */
export function requireStrace(): void {
  try {
    execFileSync("strace", ["-o", "/dev/null", "true"], { stdio: "pipe" });
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new Error(`strace cannot be used (apt-get install strace; it must be allowed to trace): ${reason}`);
  }
}

/** Runs a flow under strace, and leaves in `<folder>/<name>` what `loadRecord` needs. */
export function recordFlow({ name, subject, args, prepare }: Flow, folder: string): void {
  const own = path.join(folder, name);
  const root = path.join(folder, `${subject}-root`);
  const marks = path.join(folder, `${subject}-marks`);
  mkdirSync(own);
  mkdirSync(root, { recursive: true });
  prepare?.(root);
  const earlierMarks = existsSync(marks) ? linesOf(marks) : [];
  const beginning: Beginning = { root, tree: readTree(root), earlierMarks };
  writeFileSync(path.join(own, "beginning"), serialize(beginning));
  const script = fileURLToPath(new URL(`./${subject}-flow.js`, import.meta.url));
  const strace = ["-f", "-xx", "-v", "-s", "4000000", "-o", path.join(own, "trace"), "-e", `trace=${tracedCalls}`];
  const { status, stderr } = spawnSync("strace", [...strace, process.execPath, script, root, marks, ...args], {
    // One thread writes, so that a record depends less on how threads were scheduled; and no call goes past strace.
    env: { ...process.env, UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  // By custom SIGKILL gives 128 + 9; strace ends itself in the same way as its program.
  if (status !== 0 && status !== 137 && status !== null) throw new Error(`${name} ended with ${status}: ${stderr}`);
}

/** The record that `recordFlow` has left, and the marks of the flows before it. */
export function loadRecord(folder: string, { name, subject }: Pick<Flow, "name" | "subject">) {
  const own = path.join(folder, name);
  const { root, tree, earlierMarks } = deserialize(readFileSync(path.join(own, "beginning"))) as Beginning;
  const trace = readFileSync(path.join(own, "trace"), "latin1");
  const record: DiskRecord = readRecord(trace, root, tree, path.join(folder, `${subject}-marks`));
  return { record, earlierMarks };
}

function linesOf(file: string): string[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "");
}
