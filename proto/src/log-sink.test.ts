import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
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
});
