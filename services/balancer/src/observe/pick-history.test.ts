import assert from "node:assert/strict";
import fc from "fast-check";
import { pickOf } from "../test-support/pick-of.js";
import { PickHistory } from "./pick-history.js";

describe("the choices in memory", () => {
  it("are found by the number of their upload, oldest first", () => {
    const history = new PickHistory(10);
    assert.deepEqual([history.count, history.sinceMs, history.find(1n)], [0, undefined, []]);
    for (const [number, attempt] of [
      [1n, 1],
      [2n, 1],
      [1n, 2],
    ] as const)
      history.picked(pickOf(number, attempt));
    assert.deepEqual(
      history.find(1n).map(({ attempt }) => attempt),
      [1, 2],
    );
    assert.equal(history.count, 3);
  });

  it("are the last ones: fewer where there are many servers, and never none (property)", () => {
    const servers = fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 60 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), servers, (max, counts) => {
        const history = new PickHistory(max);
        for (const [at, count] of counts.entries()) history.picked(pickOf(BigInt(at + 1), 1, count));
        const kept = counts.flatMap((_, at) => (history.find(BigInt(at + 1)).length === 1 ? [at] : []));
        // The longest tail that fits.
        let expected = 0;
        let sum = 0;
        for (const count of counts.toReversed()) {
          sum += count;
          if (expected === max || (sum > max * 8 && expected > 0)) break;
          expected += 1;
        }
        assert.equal(history.count, kept.length);
        assert.deepEqual(kept, [...counts.keys()].slice(counts.length - kept.length));
        assert.ok(kept.length <= expected && kept.length >= Math.min(1, counts.length));
        if (counts.every((count) => count <= 8)) assert.equal(kept.length, Math.min(max, counts.length));
        assert.equal(history.sinceMs, kept.length === 0 ? undefined : (kept[0] ?? 0) + 1);
      }),
    );
  });
});
