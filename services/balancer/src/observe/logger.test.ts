import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { cannotTest } from "@bilancia/proto/testing/cannot-test";

const program = fileURLToPath(new URL("../../bin/bilancia-balancer.js", import.meta.url));

describe("the balancer's log", () => {
  it("neither ends the balancer nor holds it up when its disk is full", async () => {
    if (!existsSync("/dev/full")) return cannotTest("a log that cannot be written: there is no /dev/full");
    const folder = mkdtempSync(path.join(tmpdir(), "bilancia-log-"));
    const full = openSync("/dev/full", "w");
    const args = [
      ...[
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--web-listen",
        "",
        "--state-dir",
        path.join(folder, "state"),
      ],
      ...["--server", "name=storage-1,address=127.0.0.1:1,weight=1", "--log-level", "trace"],
    ];
    for (const { stdout, logFile, failing } of [
      { stdout: full, logFile: path.join(folder, "log"), failing: "standard output" },
      { stdout: "pipe" as const, logFile: "/dev/full", failing: "/dev/full" },
    ]) {
      const child = spawn(process.execPath, [program, ...args, "--log-file", logFile], {
        cwd: folder,
        stdio: ["ignore", stdout, "pipe"],
      });
      const exited = once(child, "exit");
      let stderr = "";
      child.stdout?.resume();
      // It serves by the time its log fails.
      await new Promise<void>((resolve) => {
        child.stderr?.on("data", (text) => {
          stderr += text;
          resolve();
        });
      });
      await new Promise((resolve) => setTimeout(resolve, 500));
      assert.equal(child.exitCode, null, stderr);
      child.kill("SIGTERM");
      assert.deepEqual(await exited, [0, null]);
      assert.equal(stderr, `bilancia: ${failing} cannot be written (ENOSPC): log lines are dropped until it can\n`);
    }
    closeSync(full);
    rmSync(folder, { recursive: true });
  });
});
