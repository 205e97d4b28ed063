import assert from "node:assert/strict";
import fc from "fast-check";
import { AdaptiveLimit } from "./adaptive-limit.js";

/** The limit after so many answers that each took `tookMs` while the limit was used up. */
function after(limit: AdaptiveLimit, count: number, tookMs: number): number {
  for (let answer = 0; answer < count; answer++) limit.answered(tookMs, limit.files);
  return limit.files;
}

describe("the adaptive limit", () => {
  it("golden table: grows while answers take as long as usual, shrinks when they take longer", () => {
    const limit = new AdaptiveLimit(200);
    assert.equal(limit.files, 32);
    const seen = [
      after(limit, 10, 10),
      after(limit, 100, 10),
      after(limit, 800, 10),
      after(limit, 5, 40),
      after(limit, 20, 40),
      after(limit, 20, 10),
    ];
    assert.deepEqual(seen, [32, 104, 200, 195, 44, 21]);
  });

  it("does not grow while it is not made use of", () => {
    const limit = new AdaptiveLimit(200);
    for (let answer = 0; answer < 1_000; answer++) limit.answered(10, 15);
    assert.equal(limit.files, 32);
  });

  it("loses a tenth with each failure, but always leaves some", () => {
    const limit = new AdaptiveLimit(200);
    const seen = [1, 2, 3, 30].map((failures) => {
      for (let failure = 0; failure < failures; failure++) limit.failed();
      return limit.files;
    });
    assert.deepEqual(seen, [28, 23, 17, 4]);
  });

  for (const width of [1, 4, 16, 64, 256]) {
    it(`settles near what a server can use that works on ${width} at a time`, () => {
      const limit = new AdaptiveLimit(1_000);
      const seen: number[] = [];
      for (let answer = 0; answer < 40_000; answer++) {
        limit.answered(10 * Math.max(1, limit.files / width), limit.files);
        if (answer >= 20_000) seen.push(limit.files);
      }
      const average = seen.reduce((sum, files) => sum + files, 0) / seen.length;
      // It never stands empty for long, and hardly more wait there than are worked on, but for the headroom.
      assert.ok(average >= 0.9 * width && average <= 2 * width + 16, `${average} on average`);
    });
  }

  it("comes back after a time in which everything was slow", () => {
    const limit = new AdaptiveLimit(100);
    after(limit, 500, 10);
    after(limit, 50, 200);
    assert.ok(limit.files < 50, `${limit.files}`);
    assert.equal(after(limit, 300, 10), 100);
  });

  it("stays between its bounds, whatever happens (property)", () => {
    const step = fc.oneof(
      fc.constant(undefined),
      fc.record({ tookMs: fc.double({ min: 0, max: 1e6, noNaN: true }), inFlight: fc.nat(2_000) }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), fc.array(step, { maxLength: 200 }), (max, steps) => {
        const limit = new AdaptiveLimit(max);
        for (const sample of steps) {
          if (sample) limit.answered(sample.tookMs, sample.inFlight);
          else limit.failed();
          assert.ok(limit.files >= Math.min(4, max) && limit.files <= max, `${limit.files} of ${max}`);
        }
      }),
    );
  });
});
