import assert from "node:assert/strict";
import { type Measured, merge, parseRun, summarize } from "./results.js";

const measured: Measured = {
  name: "small-256",
  unit: "files/s",
  better: "higher",
  samples: { ours: [90, 100, 110], nginx: [10, 20, 15], haproxy: [12, 25, 11] },
};

describe("a workload's result", () => {
  it("has the shape that the JSON promises", () => {
    assert.deepEqual(summarize(measured, true), {
      name: "small-256",
      unit: "files/s",
      better: "higher",
      rounds: 3,
      quick: true,
      ours: { median: 100, min: 90, max: 110 },
      peers: { nginx: { median: 15, min: 10, max: 20 }, haproxy: { median: 12, min: 11, max: 25 } },
      references: {},
      ratioToBest: 100 / 15,
      goals: [],
      notes: [],
    });
  });

  it("compares with the lowest where lower is better", () => {
    assert.equal(summarize({ ...measured, better: "lower" }, false).ratioToBest, 100 / 12);
  });

  it("keeps bounds and base lines apart from peers", () => {
    const result = summarize(
      { ...measured, references: ["nginx"], goals: [{ against: ["nginx"], atLeast: 7 }] },
      false,
    );
    assert.deepEqual([Object.keys(result.peers), Object.keys(result.references)], [["haproxy"], ["nginx"]]);
    assert.equal(result.ratioToBest, 100 / 12);
    assert.equal(result.goals[0]?.reached, 100 / 15);
  });

  it("has no ratio without peers", () => {
    assert.equal("ratioToBest" in summarize({ ...measured, samples: { ours: [1] } }, false), false);
  });

  it("judges goals by the best of those that are there", () => {
    const goals = [
      { against: ["nginx", "haproxy"], atLeast: 6.7 },
      { against: ["haproxy"], atLeast: 6.7 },
      { against: ["absent"], atLeast: 1 },
    ];
    const results = summarize({ ...measured, goals }, false).goals;
    assert.deepEqual(
      results.map(({ met, reached }) => [met, reached]),
      [
        [false, 100 / 15],
        [true, 100 / 12],
      ],
    );
  });

  it("judges bounds without a peer by the worst round", () => {
    const [most, least] = summarize({ ...measured, goals: [{ atMost: 105 }, { atLeast: 90 }] }, false).goals;
    assert.deepEqual([most?.met, most?.reached, least?.met, least?.reached], [false, 110, true, 90]);
  });

  it("fails without figures of ours", () => {
    assert.throws(() => summarize({ ...measured, samples: { nginx: [1] } }, false), /no figures of ours/);
  });
});

describe("runs", () => {
  const run = (name: string, figure: number, machine: string) => ({
    machine: { cores: machine, commit: `of ${machine}` },
    workloads: [summarize({ ...measured, name, samples: { ours: [figure] } }, false)],
  });

  it("are put together, the last one counting, with the commits of what counts", () => {
    const merged = merge([run("a", 1, "oldest"), run("b", 2, "old"), run("a", 3, "new")]);
    assert.deepEqual(merged.machine, { cores: "new", commit: "of new, of old" });
    assert.deepEqual(
      merged.workloads.map(({ name, ours }) => [name, ours.median]),
      [
        ["a", 3],
        ["b", 2],
      ],
    );
  });

  it("are read from what was written, and from nothing else", () => {
    const written = JSON.stringify(run("a", 1, "x"));
    assert.deepEqual(parseRun(written), JSON.parse(written));
    assert.throws(() => parseRun("[]"), /"machine" and "workloads"/);
    assert.throws(() => parseRun('{"machine":{},"workloads":[{"name":"a"}]}'), /workloads\[0\]/);
  });
});
