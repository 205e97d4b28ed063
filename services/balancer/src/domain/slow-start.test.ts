import assert from "node:assert/strict";
import { isRamping, rampedWeight } from "./slow-start.js";

describe("slow start", () => {
  for (const [afterMs, weight, expected] of [
    [0, 5, 50],
    [500, 5, 50],
    [1_000, 5, 50],
    [5_000, 5, 250],
    [9_990, 5, 500],
    [10_000, 5, 500],
    [1_000_000, 5, 500],
    [0, 1, 10],
    [2_500, 1, 25],
    [0, 256, 2_560],
  ] as const) {
    it(`gives weight ${weight} ${expected} hundredths ${afterMs} ms after its return`, () => {
      assert.equal(rampedWeight(weight, 1_000, 1_000 + afterMs, 10_000), expected);
      assert.equal(isRamping(1_000, 1_000 + afterMs, 10_000), afterMs < 10_000);
    });
  }

  it("is over where the clock has been set back to before the server's return", () => {
    assert.equal(rampedWeight(5, 1_000_000, 999_999, 10_000), 500);
    assert.equal(isRamping(1_000_000, 999_999, 10_000), false);
  });

  it("is over at once where there is none", () => {
    assert.equal(rampedWeight(3, 1_000, 1_000, 0), 300);
    assert.equal(isRamping(1_000, 1_000, 0), false);
  });
});
