import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const storageProgram = fileURLToPath(new URL("../../bin/bilancia-storage.js", import.meta.url));
const stuckProgram = fileURLToPath(new URL("./stuck-program.js", import.meta.url));

/** A program that serves. */
interface StartedProgram {
  readonly child: ChildProcess;
  readonly address: string;
  /** Code or signal. */
  readonly exited: Promise<number | string>;
}

/** Starts the program as `storage-1` and waits until it serves. */
export function startStorageProgram(dir: string): Promise<StartedProgram> {
  return start(dir, [storageProgram, "--listen", "127.0.0.1:0", "--dir", dir, "--name", "storage-1"]);
}

/** The same of a server that never trims its journal. */
export function startStuckProgram(dir: string): Promise<StartedProgram> {
  return start(dir, [stuckProgram, dir]);
}

async function start(dir: string, args: readonly string[]): Promise<StartedProgram> {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise<number | string>((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? signal ?? "")),
  );
  const address = await new Promise<string>((resolve, reject) => {
    void exited.then(() => reject(new Error("it ended before it served")));
    createInterface({ input: child.stdout ?? assert.fail() }).on("line", (line) => {
      const entry = JSON.parse(line);
      if (entry.msg !== "listening") return;
      assert.deepEqual([entry.server, entry.dir, entry.level], ["storage-1", dir, 30]);
      resolve(entry.address);
    });
  });
  return { child, address, exited };
}
