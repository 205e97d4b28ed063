import assert from "node:assert/strict";
import fc from "fast-check";
import { Fifo } from "./fifo.js";

describe("Fifo", () => {
  it("agrees with an array (property)", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.nat(3_000), fc.integer({ min: -3_000, max: -1 })), { maxLength: 30 }),
        (steps) => {
          const fifo = new Fifo<number>();
          const model: number[] = [];
          let next = 0;
          for (const step of steps) {
            for (let index = 0; index < step; index++) {
              fifo.push(next);
              model.push(next++);
            }
            for (let index = 0; index < -step; index++) assert.equal(fifo.shift(), model.shift());
            assert.equal(fifo.length, model.length);
            assert.equal(fifo.peek(), model[0]);
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});
