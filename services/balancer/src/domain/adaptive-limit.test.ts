import assert from "node:assert/strict";
import fc from "fast-check";
import { AdaptiveLimit } from "./adaptive-limit.js";

/** A server: how many files it answers in a second at most, and how long each takes there at least, in milliseconds. */
interface Speed {
  readonly perSecond: number;
  readonly atLeastMs: number;
}

/** One server with a limit, millisecond by millisecond. */
class Simulated {
  nowMs = 0;
  /** When the files were sent that are on their way. */
  readonly #sentMs: number[] = [];
  #owed = 0;

  constructor(readonly limit: AdaptiveLimit) {}

  /** For so long, as many files are wanted at a time as `demand`. Returns how many were answered, and the limit's least and greatest. */
  run(durationMs: number, { perSecond, atLeastMs }: Speed, demand: number) {
    let answered = 0;
    let [low, high] = [this.limit.files, this.limit.files];
    for (const endMs = this.nowMs + durationMs; this.nowMs < endMs; this.nowMs++) {
      while (this.#sentMs.length < Math.min(demand, this.limit.files)) this.#sentMs.push(this.nowMs);
      this.#owed = Math.min(this.#owed + perSecond / 1_000, 1 + perSecond / 1_000);
      while (this.#owed >= 1 && this.nowMs - (this.#sentMs[0] ?? this.nowMs) >= atLeastMs) {
        const sentMs = this.#sentMs.shift();
        if (sentMs === undefined) break;
        this.#owed -= 1;
        answered += 1;
        this.limit.answered(this.nowMs - sentMs, this.#sentMs.length + 1, this.nowMs);
      }
      low = Math.min(low, this.limit.files);
      high = Math.max(high, this.limit.files);
    }
    return { answered, low, high };
  }
}

const max = 1_024;
/** After this time a limit should have found what fits. */
const settlingMs = 8_000;

describe("the adaptive limit", () => {
  for (const [what, speed, demand, expected] of [
    ["what it began with, where not many are wanted", { perSecond: 1_000, atLeastMs: 1 }, 100, [256, 256]],
    ["as many as fit into the time", { perSecond: 1_000, atLeastMs: 1 }, 5_000, [80, 120]],
    ["few, of a slow server", { perSecond: 100, atLeastMs: 1 }, 256, [8, 12]],
    ["the least of one that is slower still, or twice that", { perSecond: 5, atLeastMs: 1 }, 256, [4, 8]],
    ["many, of a fast one", { perSecond: 4_000, atLeastMs: 2 }, 5_000, [320, 480]],
    ["all, of one that is far away, and nobody waits at", { perSecond: 1e5, atLeastMs: 75 }, 5_000, [max, max]],
  ] as const)
    it(`golden table: settles at ${what}`, () => {
      const server = new Simulated(new AdaptiveLimit(max));
      // Of a slow server there is less to be seen.
      server.run(Math.max(settlingMs, 80_000 / speed.perSecond), speed, demand);
      const { low, high } = server.run(settlingMs, speed, demand);
      assert.ok(low >= expected[0] && high <= expected[1], JSON.stringify({ low, high }));
    });

  it("never leaves a server without work, however slow or fast (property)", () => {
    const speed = fc.record({
      perSecond: fc.double({ min: 20, max: 5_000, noNaN: true }),
      atLeastMs: fc.integer({ min: 1, max: 45 }),
    });
    fc.assert(
      fc.property(speed, fc.integer({ min: 100, max: 3_000 }), (one, demand) => {
        const server = new Simulated(new AdaptiveLimit(max));
        server.run(settlingMs, one, demand);
        const { answered } = server.run(settlingMs, one, demand);
        const possible = Math.min(one.perSecond, (Math.min(demand, max) / (one.atLeastMs + 1)) * 1_000);
        assert.ok(
          answered >= 0.8 * possible * (settlingMs / 1_000) - 1,
          `${answered} answered, ${possible} a second are possible`,
        );
      }),
      { numRuns: 30 },
    );
  });

  it("finds that a server is far away, or slow with each file, and not busy", () => {
    const server = new Simulated(new AdaptiveLimit(max));
    server.run(60_000, { perSecond: 1e5, atLeastMs: 900 }, 5_000);
    assert.equal(server.limit.files, max);
  });

  it("follows a server that becomes slow, and fast again", () => {
    const server = new Simulated(new AdaptiveLimit(max));
    const [fast, slow] = [
      { perSecond: 1_000, atLeastMs: 1 },
      { perSecond: 50, atLeastMs: 1 },
    ] as const;
    const seen = [fast, slow, fast].map((speed) => {
      server.run(settlingMs, speed, 5_000);
      return server.limit.files;
    });
    assert.ok(
      seen.every((files, index) => (index === 1 ? files <= 8 : files >= 80 && files <= 120)),
      `${seen}`,
    );
  });

  it("does not take it for slowness that a server had nothing to do", () => {
    const limit = new AdaptiveLimit(max);
    for (let second = 1; second <= 100; second++) limit.answered(5, 1, second * 1_000);
    assert.equal(limit.files, 256);
    // Two thousand at once, just after: one a millisecond.
    for (let answer = 1; answer <= 2_000; answer++) limit.answered(answer, 2_001 - answer, 100_000 + answer);
    assert.equal(limit.files, 100);
  });

  it("loses a tenth with each failure, half with an overload, but always leaves some; large files bring it back", () => {
    const limit = new AdaptiveLimit(100);
    const seen = [
      "failed",
      "failed",
      "overloaded",
      "large",
      "overloaded",
      "overloaded",
      "overloaded",
      "overloaded",
    ].map((what) => {
      if (what === "failed") limit.failed();
      else if (what === "overloaded") limit.overloaded();
      else for (let file = 0; file < 20; file++) limit.answered(undefined, 3, 0);
      return limit.files;
    });
    assert.deepEqual(seen, [90, 81, 40, 60, 30, 15, 7, 4]);
    for (let file = 0; file < 300; file++) limit.answered(undefined, 3, 0);
    assert.equal(limit.files, 100);
  });

  it("stays between its bounds, whatever happens (property)", () => {
    const step = fc.oneof(
      fc.constant("failed" as const),
      fc.constant("overloaded" as const),
      fc.record({
        tookMs: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined }),
        inFlight: fc.nat(2_000),
        // Also back.
        passedMs: fc.integer({ min: -1_000, max: 1_000 }),
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), fc.array(step, { maxLength: 200 }), (most, steps) => {
        const limit = new AdaptiveLimit(most);
        let nowMs = 0;
        for (const what of steps) {
          if (what === "failed") limit.failed();
          else if (what === "overloaded") limit.overloaded();
          else {
            nowMs += what.passedMs;
            limit.answered(what.tookMs, what.inFlight, nowMs);
          }
          assert.ok(limit.files >= Math.min(4, most) && limit.files <= most, `${limit.files} of ${most}`);
        }
      }),
    );
  });
});
