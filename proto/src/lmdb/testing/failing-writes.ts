import { execFile } from "node:child_process";
import { closeSync, openSync, readdirSync, readlinkSync } from "node:fs";
import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { open } from "lmdb";
import { GroupCommit, groupCommitOptions } from "../group-commit.js";

const program = fileURLToPath(import.meta.url);
const before = 20;
const after = 2_000;

/** What became of writes of which the later ones could not be made. */
export interface FailingWrites {
  /** How many were made. */
  readonly written: number;
  /** How many were made before the failure. */
  readonly before: number;
  /** How many failed, by what they said. */
  readonly failed: Readonly<Record<string, number>>;
  /** How often the reason was told. */
  readonly told: number;
  /** Rejections that nobody could have handled. */
  readonly unhandled: readonly string[];
}

/**
 * Writes to an environment in a process of its own, and has all writes of LMDB's fail in the middle. Linux only.
 *
 * @returns `undefined` where the failing writes of LMDB have damaged the memory of that process so that a signal ended it, which they sometimes do
 */
export async function failingWrites(folder: string): Promise<FailingWrites | undefined> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [program, folder]);
    return JSON.parse(stdout);
  } catch (error) {
    if ((error as { signal?: string }).signal) return undefined;
    throw error;
  }
}

async function writeUntilItFails(folder: string): Promise<FailingWrites> {
  const unhandled: string[] = [];
  process.on("unhandledRejection", (reason) => unhandled.push(String(reason)));
  const root = open<Buffer, Buffer>({ path: folder, ...groupCommitOptions, encoding: "binary", keyEncoding: "binary" });
  let told = 0;
  const commits = new GroupCommit(
    () => root,
    (cause) => {
      told += 1;
      return new Error(`not written: ${cause}`);
    },
  );
  let written = 0;
  const failed: Record<string, number> = {};
  const put = (number: number) =>
    commits
      .write(() => [root.put(Buffer.from(`key ${number}`), Buffer.alloc(500))])
      .then(
        () => {
          written += 1;
        },
        ({ message }: Error) => {
          failed[message] = (failed[message] ?? 0) + 1;
        },
      );
  for (let number = 0; number < before; number++) await put(number);
  makeReadOnly(path.join(folder, "data.mdb"));
  const puts: Promise<void>[] = [];
  for (let number = 0; number < after; number++) {
    puts.push(put(number));
    if (number % 7 === 0) await turn();
  }
  await Promise.all(puts);
  await turn();
  return { written, before, failed, told, unhandled };
}

/** Puts a handle that cannot be written to in the place of each that this process has of a file. */
function makeReadOnly(file: string): void {
  for (const fd of readdirSync("/proc/self/fd").map(Number)) {
    if (linkOf(fd) !== file) continue;
    closeSync(fd);
    // The lowest one that is free: others may be taken first.
    while (openSync(file, "r") < fd);
  }
}

function linkOf(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    // The handle that read the folder.
    return "";
  }
}

if (process.argv[1] === program) {
  const result = await writeUntilItFails(process.argv[2] ?? "");
  process.stdout.write(JSON.stringify(result), () => process.exit(0));
}
