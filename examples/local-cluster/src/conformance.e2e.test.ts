import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { storageScript } from "./cluster.js";
import { lbCliScript } from "./lb-cli.js";

const serveAgain = fileURLToPath(new URL("../../serve-again.sh", import.meta.url));

describe("a storage server as a process of its own", function () {
  this.timeout(180_000);

  it("passes every check of the conformance kit, is killed on the way, and keeps nothing of it", async () => {
    const root = await mkdtemp(path.join(tmpdir(), "bilancia-conformance-"));
    const pidFile = path.join(root, "pid");
    const dir = path.join(root, "files");
    try {
      const port = await freePort();
      const address = `127.0.0.1:${port}`;
      const limits = ["--overload-files", "12:6", "--max-files-in-progress", "24", "--overload-event-loop-ms", "off"];
      const server = [process.execPath, storageScript, "--listen", address, "--dir", dir, ...limits];
      const restart = [serveAgain, pidFile, String(port), ...server];
      const started = await run("bash", restart);
      assert.equal(started.code, 0, started.output);
      const restartCmd = restart.map((word) => `'${word}'`).join(" ");
      const options = ["--restart-cmd", restartCmd, "--overload-files", "12", "--busy-files", "24"];
      const kit = await run(process.execPath, [lbCliScript, "conformance", "storage", address, ...options]);
      assert.equal(kit.code, 0, kit.output);
      assert.doesNotMatch(kit.output, /^(fails|not tested|not implemented)/m);
      assert.deepEqual(await readdir(dir), [".bilancia"]);
    } finally {
      const pid = Number(await readFile(pidFile, "utf8").catch(() => ""));
      if (pid > 0) process.kill(pid, "SIGKILL");
      await rm(root, { recursive: true, force: true, maxRetries: 5 });
    }
  });
});

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, "close");
  return port;
}

/** Runs a program to its end. */
async function run(program: string, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const output = await text(child.stdout);
  return { code: await ended, output };
}
