import assert from "node:assert/strict";
import { Conduct, type EjectionPolicy, mayEject } from "./conduct.js";

const policy: EjectionPolicy = {
  consecutiveFailures: 3,
  errorPercent: 50,
  errorMinFiles: 8,
  falls: 3,
  windowMs: 10_000,
  baseMs: 1_000,
  maxMs: 6_000,
  maxPoolPercent: 50,
};

/** Plays attempts, one a letter: + succeeded, x failed, v fell. Gives the reasons for an ejection, by position. */
function play(text: string, changes: Partial<EjectionPolicy> = {}, stepMs = 1): Record<number, string> {
  const conduct = new Conduct({ ...policy, ...changes });
  const reasons: Record<number, string> = {};
  for (const [index, letter] of [...text].entries()) {
    const nowMs = 100_000 + index * stepMs;
    if (letter === "+") conduct.succeeded(nowMs);
    else {
      const reason = letter === "x" ? conduct.failed(nowMs) : conduct.fell(nowMs);
      if (reason !== undefined) reasons[index] = reason;
    }
  }
  return reasons;
}

describe("conduct", () => {
  for (const [what, text, changes, stepMs, expected] of [
    ["failures in a row", "+xxx", {}, 1, { 3: "3 attempts failed in a row" }],
    ["a success in between starts anew", "xx+xx+xx", { errorPercent: 0 }, 1, {}],
    ["one that succeeds forgives nothing of the rate", "x+x+x+xx", {}, 1, { 7: "5 of 8 attempts failed" }],
    ["a rate over too few says nothing", "x+x+x+x", {}, 1, {}],
    ["a low rate is no reason", "+++x+++x+++x", {}, 1, {}],
    ["what is long past does not count", "x+x+x+x+x+x+", {}, 2_000, {}],
    ["neither rule where both are off", "xxxxxxxxxxxx", { consecutiveFailures: 0, errorPercent: 0 }, 1, {}],
    ["flapping", "vvv", {}, 1_000, { 2: "flapping: unhealthy 3 times within 10000 ms" }],
    ["falls far apart are no flapping", "vvv", {}, 6_000, {}],
    ["no flapping where that is off", "vvvvvv", { falls: 0 }, 1, {}],
    ["attempts before a fall do not count after it", "xxvx", {}, 1, {}],
  ] as [string, string, Partial<EjectionPolicy>, number, Record<number, string>][]) {
    it(`golden table: ${what}`, () => assert.deepEqual(play(text, changes, stepMs), expected));
  }

  it("ejects for twice as long each time, up to the longest, and forgets one ejection with each calm window", () => {
    const conduct = new Conduct(policy);
    const lengths: number[] = [];
    let nowMs = 50_000;
    for (const calmMs of [0, 0, 5_000, 9_999, 10_000, 20_000, 1_000_000]) {
      nowMs += calmMs;
      const { sinceMs, untilMs, reason } = conduct.eject(nowMs, "why");
      assert.equal(sinceMs, nowMs);
      assert.equal(reason, "why");
      lengths.push(untilMs - nowMs);
      nowMs = untilMs;
    }
    assert.deepEqual(lengths, [1_000, 2_000, 4_000, 6_000, 6_000, 4_000, 1_000]);
  });

  it("begins anew after an ejection", () => {
    const conduct = new Conduct(policy);
    for (let failure = 0; failure < 3; failure++) conduct.failed(1_000);
    conduct.eject(1_000, "why");
    assert.equal(conduct.failed(2_000), undefined);
    assert.equal(conduct.failed(2_000), undefined);
    assert.equal(conduct.failed(2_000), "3 attempts failed in a row");
  });

  for (const [outCount, poolSize, percent, may] of [
    [0, 1, 50, false],
    [0, 2, 50, true],
    [1, 2, 50, false],
    [0, 3, 50, true],
    [1, 3, 50, false],
    [1, 4, 50, true],
    [0, 9, 10, false],
    [0, 10, 10, true],
    [2, 3, 100, true],
    [0, 5, 0, false],
  ] as const) {
    it(`${may ? "may" : "may not"} eject one of ${poolSize} while ${outCount} are out and ${percent}% may be`, () => {
      assert.equal(mayEject(outCount, poolSize, { ...policy, maxPoolPercent: percent }), may);
    });
  }
});
