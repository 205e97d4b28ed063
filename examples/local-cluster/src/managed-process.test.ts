import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describeExit, ManagedProcess, StartError } from "./managed-process.js";

describe("ManagedProcess", () => {
  let folder: string;
  const started: ManagedProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-process-"));
  });

  afterEach(async () => {
    await Promise.all(started.splice(0).map((process) => process.stop(0)));
    await rm(folder, { recursive: true, force: true });
  });

  async function run(source: string): Promise<ManagedProcess> {
    const script = path.join(folder, "script.mjs");
    await writeFile(script, source);
    const command = [process.execPath, script];
    const managed = new ManagedProcess({ name: "server-1", command, logDir: path.join(folder, "logs") });
    started.push(managed);
    return managed;
  }

  const sayReady = `console.log(JSON.stringify({ msg: "listening", address: "127.0.0.1:1234", adminAddress: "127.0.0.1:1235" }));`;
  const stay = "setInterval(() => {}, 1000);";

  it("waits for the ready line and reads the addresses", async () => {
    const process = await run(`console.log("a plain line"); ${sayReady} ${stay}`);
    assert.deepEqual(await process.ready(10_000), { address: "127.0.0.1:1234", adminAddress: "127.0.0.1:1235" });
    assert.equal(process.running, true);
  });

  for (const stream of ["log", "error"] as const) {
    it(`reads the address in plain words, with console.${stream}`, async () => {
      const process = await run(`console.${stream}("2026/11/24 15:00:00 listening on 127.0.0.1:1234"); ${stay}`);
      assert.deepEqual(await process.ready(10_000), { address: "127.0.0.1:1234" });
    });
  }

  it("fails with the process's own words when it ends first", async () => {
    const process = await run(`console.error("cannot listen: the port is in use"); process.exit(1);`);
    await assert.rejects(process.ready(10_000), (error) => {
      assert(error instanceof StartError);
      const words = "server-1 ended with exit code 1 before it was ready: cannot listen: the port is in use";
      assert.equal(error.message, words);
      return true;
    });
  });

  it("fails when the ready line does not come in time", async () => {
    const process = await run(stay);
    await assert.rejects(process.ready(50), /server-1 was not ready after 50 ms/);
  });

  it("kills a process that does not end when asked", async () => {
    const process = await run(`process.on("SIGTERM", () => {}); ${sayReady} ${stay}`);
    await process.ready(10_000);
    assert.deepEqual(await process.stop(50), { code: null, signal: "SIGKILL" });
    assert.equal(process.running, false);
  });

  it("lets a process end by itself", async () => {
    const process = await run(`process.on("SIGTERM", () => process.exit(0)); ${sayReady} ${stay}`);
    await process.ready(10_000);
    assert.equal(describeExit(await process.stop(10_000)), "with exit code 0");
  });
});
