import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { cannotTest } from "./testing/cannot-test.js";

const program = `
  import { closeSync, openSync } from "node:fs";
  import { setTimeout as delay } from "node:timers/promises";
  import { gatheredLines } from ${JSON.stringify(new URL("./gathered-lines.js", import.meta.url))};
  import { LogSink } from ${JSON.stringify(new URL("./log-sink.js", import.meta.url))};
  const fd = openSync("/dev/full", "w");
  const log = gatheredLines([new LogSink(fd, "the log")]);
  for (const line of ["1\\n", "2\\n"]) {
    log.write(line);
    await delay(200);
  }
  closeSync(fd);
  if (openSync(process.argv[1], "a") !== fd) throw new Error("the log has another number");
  log.write("3\\n");
  await delay(200);
  log.write("4\\n");
  process.exit(7);
`;

const fastProgram = `
  import { LogSink } from ${JSON.stringify(new URL("./log-sink.js", import.meta.url))};
  const log = new LogSink(1, "the log");
  for (let line = 0; line < 64; line++) {
    log.write("x".repeat(1024 * 1024 - 1) + "\\n");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
`;

describe("the sink of a log", () => {
  it("drops what cannot be written, says so once, goes on when it can, and writes what is left at the end", () => {
    if (!existsSync("/dev/full")) return cannotTest("a log that cannot be written: there is no /dev/full");
    const folder = mkdtempSync(path.join(tmpdir(), "bilancia-log-"));
    const file = path.join(folder, "log");
    const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program, file], {
      encoding: "utf8",
    });
    assert.equal(stderr, "bilancia: the log cannot be written (ENOSPC): log lines are dropped until it can\n");
    assert.equal(status, 7);
    assert.equal(readFileSync(file, "utf8"), "3\n4\n");
    rmSync(folder, { recursive: true });
  });

  it("keeps little for a reader that is too slow, drops whole lines, and says so", async () => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", fastProgram], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let told = "";
    child.stderr.on("data", (text) => (told += text));
    await once(child.stderr, "data");
    let lines = 0;
    for await (const text of child.stdout) lines += String(text).split("\n").length - 1;
    assert.match(told, /^(bilancia: the log cannot be written \(too slow\): log lines are dropped until it can\n)+$/);
    // While nobody read, no more than waits, and what was on its way.
    assert.ok(lines >= 8 && lines < 64, `${lines} lines`);
    assert.equal(child.exitCode ?? (await once(child, "exit"))[0], 0);
  });
});
