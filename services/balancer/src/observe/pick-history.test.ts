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

  it("are the last ones (property)", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.nat(60), (max, count) => {
        const history = new PickHistory(max);
        const numbers = Array.from({ length: count }, (_, at) => at + 1);
        for (const number of numbers) history.picked(pickOf(BigInt(number)));
        const kept = numbers.filter((number) => history.find(BigInt(number)).length === 1);
        assert.deepEqual(kept, numbers.slice(-max));
        assert.equal(history.count, kept.length);
        assert.equal(history.sinceMs, kept[0]);
      }),
    );
  });
});
