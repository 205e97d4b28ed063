import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { runLbCli, runScript, type ScriptResult } from "./test-support/run-script.js";

const storageScript = fileURLToPath(import.meta.resolve("@bilancia/storage-server/bin/bilancia-storage.js"));
const balancerScript = fileURLToPath(import.meta.resolve("@bilancia/balancer/bin/bilancia-balancer.js"));

describe("bad input on the command line", function () {
  this.timeout(60_000);
  let folder: string;
  /** Holds a port, so that nobody else can have it. */
  let holder: Server;
  let takenAddress: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-bad-input-"));
    holder = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
    takenAddress = `127.0.0.1:${(holder.address() as AddressInfo).port}`;
  });
  after(async () => {
    await new Promise((resolve) => holder.close(resolve));
    await rm(folder, { recursive: true, force: true });
  });

  function runBalancer(...args: string[]): Promise<ScriptResult> {
    const listen = args.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
    const state = ["--state-dir", path.join(folder, "balancer"), "--log-file", path.join(folder, "loadbalancer.log")];
    return runScript(
      balancerScript,
      [...listen, "--admin-listen", "127.0.0.1:0", "--web-listen", "", ...state, ...args],
      { cwd: folder },
    );
  }

  function assertClear(result: ScriptResult, exitCode: number, words: RegExp): void {
    assert.equal(result.code, exitCode, result.stderr);
    assert.match(result.stderr, words);
    assert.doesNotMatch(result.stderr, /^\s+at /m, "a stack trace is not for users");
  }

  it("names an unknown key of the balancer's configuration", async () => {
    const config = path.join(folder, "unknown-key.yaml");
    await writeFile(config, "listten: 127.0.0.1:0\n");
    assertClear(await runBalancer("--config", config), 2, /listten/);
  });

  it("names the balancer's port when it is in use", async () => {
    const server = "name=storage-1,address=127.0.0.1:1,weight=1";
    const result = await runBalancer("--listen", takenAddress, "--server", server);
    assertClear(result, 1, new RegExp(`cannot listen on ${takenAddress}: the port is in use`));
  });

  it("names the balancer's log file when it cannot be opened", async () => {
    const asked = ["--server", "name=a,address=127.0.0.1:1", "--log-file", folder];
    const result = await runBalancer(...asked);
    assert.equal(result.code, 1);
    assert.equal(result.stderr, `bilancia-balancer: cannot use the log file ${folder}: it is a folder (log.file)\n`);
  });

  it("names the balancer's file of choices when it is a folder", async () => {
    const config = path.join(folder, "picks.yaml");
    await writeFile(config, `picks: { file: ${folder} }\nservers: [{ name: a, address: "127.0.0.1:1" }]\n`);
    const { code, stderr } = await runBalancer("--config", config);
    assert.deepEqual([code, stderr], [1, `bilancia-balancer: cannot use picks.file ${folder}: it is a folder\n`]);
  });

  it("names the balancer's state folder when it is a file", async () => {
    const file = path.join(folder, "a-file");
    await writeFile(file, "");
    const { code, stderr } = await runBalancer("--server", "name=a,address=127.0.0.1:1", "--state-dir", file);
    const words = `cannot use the state folder ${file}: ${file} is not a folder`;
    assert.deepEqual([code, stderr], [1, `bilancia-balancer: ${words}\n`]);
  });

  it("names the storage server's port when it is in use", async () => {
    const args = ["--name", "storage-1", "--listen", takenAddress, "--dir", path.join(folder, "storage-1")];
    const result = await runScript(storageScript, args, { cwd: folder });
    assertClear(result, 1, new RegExp(`cannot listen on ${takenAddress}: the port is in use`));
  });

  it("names the address of a balancer that cannot be reached", async () => {
    const sample = path.join(folder, "sample.txt");
    await writeFile(sample, "hello");
    // Nothing listens on port 1, and nobody can without being root.
    const nobody = { address: "127.0.0.1:1", adminAddress: "127.0.0.1:1" };
    assertClear(await runLbCli(nobody, ["upload", sample, "--connect-timeout", "0.5"]), 3, /127\.0\.0\.1:1/);
  });
});
