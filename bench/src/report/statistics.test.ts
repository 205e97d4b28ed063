import assert from "node:assert/strict";
import fc from "fast-check";
import { quantile, seededRandom, shuffled, spread } from "./statistics.js";

describe("statistics", () => {
  it("sums figures up, whatever their order", () => {
    assert.deepEqual(spread([10, 9, 100]), { median: 10, min: 9, max: 100 });
    assert.deepEqual(spread([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4 });
    assert.deepEqual(spread([7]), { median: 7, min: 7, max: 7 });
  });

  it("finds quantiles between two figures", () => {
    assert.equal(quantile([1, 2, 3, 4, 5], 0.25), 2);
    assert.equal(quantile([10, 20], 0.99), 19.9);
  });

  it("keeps the median between the smallest and the largest", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 }), { minLength: 1 }),
        (figures) => {
          const { median, min, max } = spread(figures);
          assert.ok(min <= median && median <= max);
        },
      ),
    );
  });

  it("refuses what cannot be summed up", () => {
    assert.throws(() => spread([]), /at least one figure/);
    assert.throws(() => spread([1, Number.NaN]), /got NaN/);
  });

  it("shuffles without losing anything, and the same way for the same seed", () => {
    const items = Array.from({ length: 20 }, (_, index) => index);
    const order = shuffled(items, seededRandom(1));
    assert.notDeepEqual(order, items);
    assert.deepEqual(
      [...order].sort((a, b) => a - b),
      items,
    );
    assert.deepEqual(shuffled(items, seededRandom(1)), order);
    assert.notDeepEqual(shuffled(items, seededRandom(2)), order);
  });
});
