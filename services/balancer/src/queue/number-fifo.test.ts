import assert from "node:assert/strict";
import fc from "fast-check";
import { NumberFifo } from "./number-fifo.js";

describe("a first-in, first-out list of numbers", () => {
  it("agrees with an array, whatever its length (property)", () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 6_000 })), { maxLength: 20 });
    fc.assert(
      fc.property(steps, fc.bigInt(0n, 2n ** 64n - 200_000n), (runs, first) => {
        const fifo = new NumberFifo();
        const model: bigint[] = [];
        let next = first;
        for (const [add, count] of runs) {
          for (let at = 0; at < count; at++) {
            if (add) {
              fifo.push(next, Number(next % 1_000n));
              model.push(next++);
            } else assert.equal(fifo.shift(), model.shift());
          }
          assert.equal(fifo.length, model.length);
          assert.equal(fifo.firstCost, Number((model[0] ?? 0n) % 1_000n));
          const costs = model.map((number) => Number(number % 1_000n));
          const sum = (until: number) => costs.slice(0, until).reduce((total, cost) => total + cost, 0);
          assert.equal(fifo.cost, sum(costs.length));
          for (const at of [0, model.length >> 1, model.length - 1]) {
            const expected = model[at] === undefined ? undefined : { files: at, costBytes: sum(at), cost: costs[at] };
            assert.deepEqual(fifo.before(model[at] ?? next), expected);
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});
