import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "./test-support/eventually.js";
import { runLbCli, runScript } from "./test-support/run-script.js";

const demoScript = fileURLToPath(new URL("./demo.js", import.meta.url));

describe("the demo", function () {
  this.timeout(90_000);
  let folder: string;
  let env: NodeJS.ProcessEnv;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-demo-test-"));
    env = { ...process.env, TMPDIR: folder };
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("shows files on all three servers, ends with 0 and leaves nothing behind", async () => {
    const { code, stdout, stderr } = await runScript(demoScript, [], { env });
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    // Weights 3, 2, 1 and 13 files: two full rounds and the first of the next.
    assert.match(stdout, /storage-1 {2}weight 3 {2}7 of 13 files/);
    assert.match(stdout, /storage-2 {2}weight 2 {2}4 of 13 files/);
    assert.match(stdout, /storage-3 {2}weight 1 {2}2 of 13 files/);
    assert.match(stdout, /13_scales\.png/);
    assert.ok(!stdout.includes("\u001b"), "no colours on a pipe");
    assert.deepEqual(await readdir(folder), []);
  });

  it("stays with --keep until Ctrl-C, and takes its processes with it", async () => {
    const child = spawn(process.execPath, [demoScript, "--keep"], { env, stdio: ["ignore", "pipe", "pipe"] });
    const closed = once(child, "close");
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    try {
      const announced = eventually(() => {
        const found = /BILANCIA_BALANCER=(\S+) BILANCIA_ADMIN=(\S+)/.exec(output);
        assert.ok(found, `the demo has not announced its addresses: ${output}`);
        return found;
      }, 60_000);
      const ended = closed.then(([code]) => assert.fail(`the demo ended with ${code} instead of staying: ${output}`));
      const [, address = "", adminAddress = ""] = await Promise.race([announced, ended]);
      const running = { address, adminAddress };
      assert.equal((await runLbCli(running, ["servers"])).code, 0);
      child.kill("SIGINT");
      assert.deepEqual(await closed, [0, null]);
      assert.equal((await runLbCli(running, ["servers"])).code, 3);
    } finally {
      child.kill("SIGTERM");
      await closed;
    }
  });

  it("refuses an unknown flag", async () => {
    const { code, stderr } = await runScript(demoScript, ["--kepe"], { env });
    assert.equal(code, 2);
    assert.match(stderr, /--kepe/);
  });
});
