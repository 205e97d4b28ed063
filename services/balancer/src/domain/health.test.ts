import assert from "node:assert/strict";
import { type HealthSign, nextHealth, probePauseMs, unknownHealth } from "./health.js";

const signs: Record<string, HealthSign> = {
  s: { kind: "serving" },
  t: { kind: "silent", reason: "no answer in time" },
  g: { kind: "gone", reason: "connection refused" },
  n: { kind: "refusing", reason: "says NOT_SERVING" },
};
const letters = { unknown: "?", healthy: "+", unhealthy: "-" };

/** The health after each sign, the first at the time 1. */
function healths(text: string, thresholds: { fall: number; rise: number }) {
  let health = unknownHealth(0);
  return [...text].map((letter, index) => {
    health = nextHealth(health, signs[letter] as HealthSign, index + 1, thresholds);
    return health;
  });
}

describe("health", () => {
  // One letter a sign: s serving, t no answer in time, g gone, n says that it does not serve.
  for (const [what, fall, rise, text, expected] of [
    ["the first sign settles it", 3, 3, "s", "+"],
    ["the first sign settles it, also to the worse", 3, 3, "t", "-"],
    ["single silences are forgiven", 2, 2, "ststst", "++++++"],
    ["two in a row are not", 2, 2, "stt", "++-"],
    ["it takes as many as were asked for", 4, 1, "sttttst", "++++-++"],
    ["who is gone is gone at once", 4, 2, "sg", "+-"],
    ["who says so does not serve", 4, 2, "sn", "+-"],
    ["one answer is no return", 2, 2, "sgsgsgss", "+------+"],
    ["with thresholds of one every sign counts", 1, 1, "stst", "+-+-"],
    ["a return takes as many as were asked for", 1, 3, "gssss", "---++"],
  ] as const) {
    it(`golden table: ${what}`, () => {
      assert.equal(
        healths(text, { fall, rise })
          .map(({ kind }) => letters[kind])
          .join(""),
        expected,
      );
    });
  }

  it("tells since when and why", () => {
    const seen = healths("sttgnss", { fall: 2, rise: 2 });
    assert.deepEqual(
      seen.map(({ sinceMs, reason }) => `${sinceMs} ${reason}`),
      [
        "1 answers SERVING",
        "1 answers SERVING",
        "3 no answer in time",
        "3 connection refused",
        "3 says NOT_SERVING",
        "3 says NOT_SERVING",
        "7 answers SERVING",
      ],
    );
  });

  it("stays the very same object while nothing changes", () => {
    const [healthy] = healths("s", { fall: 2, rise: 2 });
    assert.ok(healthy);
    assert.equal(nextHealth(healthy, { kind: "serving" }, 9, { fall: 2, rise: 2 }), healthy);
  });

  it("asks again at once in doubt, and sooner where it is not known to be healthy", () => {
    const pauses = healths("sttsst", { fall: 2, rise: 2 }).map((health) => probePauseMs(health, 1_000));
    assert.deepEqual(pauses, [1_000, 0, 250, 250, 1_000, 0]);
    assert.equal(probePauseMs(unknownHealth(0), 1_000), 250);
  });

  it("finds a frozen server within 3 s with the settings that are the default", () => {
    // It freezes right after it has answered.
    const intervalMs = 1_000;
    const timeoutMs = 750;
    let health = nextHealth(unknownHealth(0), { kind: "serving" }, 0, { fall: 2, rise: 2 });
    let nowMs = 0;
    while (health.kind === "healthy") {
      nowMs += probePauseMs(health, intervalMs) + timeoutMs;
      health = nextHealth(health, { kind: "silent", reason: "no answer in time" }, nowMs, { fall: 2, rise: 2 });
    }
    assert.equal(nowMs, 2_500);
  });
});
