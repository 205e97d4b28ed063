import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const storageProgram = fileURLToPath(new URL("../../bin/bilancia-storage.js", import.meta.url));

/** Starts the program as `storage-1` and waits until it serves. */
export async function startStorageProgram(
  dir: string,
  env: NodeJS.ProcessEnv = {},
): Promise<{ child: ChildProcess; address: string; exited: Promise<number | string> }> {
  const options = ["--listen", "127.0.0.1:0", "--dir", dir, "--name", "storage-1"];
  const child = spawn(process.execPath, [storageProgram, ...options], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
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
