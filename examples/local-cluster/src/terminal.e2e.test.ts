import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { cannotTest } from "@bilancia/proto/testing/cannot-test";

const storageScript = fileURLToPath(import.meta.resolve("@bilancia/storage-server/bin/bilancia-storage.js"));
const balancerScript = fileURLToPath(import.meta.resolve("@bilancia/balancer/bin/bilancia-balancer.js"));

describe("the programs on a terminal", () => {
  if (spawnSync("script", ["--version"]).status !== 0) {
    it("are not tested", () => cannotTest("the programs on a terminal: there is no script (of util-linux)"));
    return;
  }
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-terminal-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** Runs a script on a terminal, where Ctrl-C is pressed once it listens. Returns its exit code, and what stands on the terminal. */
  async function untilCtrlC(script: string, ...args: string[]): Promise<{ code: number | null; shown: string }> {
    const words = [process.execPath, script, ...args].map((word) => `'${word}'`).join(" ");
    // Without exec, a shell that Ctrl-C reaches too ends with 130 (dash), whatever the program ended with.
    const terminal = spawn("script", ["-qec", `exec ${words}`, "/dev/null"], {
      env: { ...process.env, NO_COLOR: "1" },
      stdio: ["pipe", "pipe", "inherit"],
      timeout: 15_000,
    });
    let shown = "";
    let pressed = false;
    terminal.stdout.on("data", (text) => {
      shown += text;
      if (pressed || !shown.includes("listening")) return;
      pressed = true;
      terminal.stdin.write("\x03");
    });
    const code = await new Promise<number | null>((resolve) => terminal.once("close", resolve));
    return { code, shown };
  }

  it("shows the balancer's log in readable lines, to the last, and Ctrl-C ends it with 0", async () => {
    const listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--web-listen", ""];
    const state = ["--state-dir", path.join(folder, "balancer"), "--log-file", ""];
    const server = ["--server", "name=a,address=127.0.0.1:1"];
    const { code, shown } = await untilCtrlC(balancerScript, ...listen, ...state, ...server);
    assert.match(shown, /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: listening\r\n {4}address: "127\.0\.0\.1:\d+"/m);
    assert.match(shown, /\] INFO: stopping\r\n {4}signal: "SIGINT".*\] INFO: stopped\r\n/s);
    assert.equal(code, 0, shown);
  });

  it("shows the storage server's log in readable lines, to the last, and Ctrl-C ends it with 0", async () => {
    const args = ["--name", "a", "--listen", "127.0.0.1:0", "--dir", path.join(folder, "storage")];
    const { code, shown } = await untilCtrlC(storageScript, ...args);
    assert.match(shown, /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: listening\r\n {4}address: "127\.0\.0\.1:\d+"/m);
    assert.match(shown, /\] INFO: stopped\r\n/);
    assert.equal(code, 0, shown);
  });
});
