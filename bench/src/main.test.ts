import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseRun } from "./report/results.js";

const program = fileURLToPath(new URL("./main.js", import.meta.url));
const bench = (...args: string[]) => spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });

describe("the benchmarks", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "bilancia-bench-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("measure, print and write what they measured", () => {
    const json = join(folder, "run.json");
    const { status, stdout, stderr } = bench("--quick", "--only", "scheduler", "--rounds", "2", "--json", json);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /scheduler-10, picks\/s, 2 rounds\n {2}ours +median/);
    const { machine, workloads } = parseRun(readFileSync(json, "utf8"));
    assert.match(machine.node ?? "", /^v\d/);
    assert.deepEqual(
      workloads.map(({ name, rounds }) => [name, rounds]),
      [10, 1_000, 10_000].map((count) => [`scheduler-${count}`, 2]),
    );
    assert.ok(bench("--render", json).stdout.includes("scheduler-10000, picks/s, 2 rounds"));
  });

  it("say what is wrong with the command line", () => {
    const { status, stderr } = bench("--only", "smal");
    assert.equal(status, 2);
    assert.match(stderr, /^bench: --only: there is no workload "smal"; expected some of small, /);
  });

  it("say which file is no result", () => {
    const { status, stderr } = bench("--render", join(folder, "missing.json"));
    assert.equal(status, 1);
    assert.match(stderr, /^bench: .*missing\.json: ENOENT/);
  });
});
