import assert from "node:assert/strict";
import fc from "fast-check";
import { draw, seededRandom } from "./draw.js";

describe("draw", () => {
  it("without repetition gives each item at most once, and with it as many as wanted", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer(), { minLength: 1 }), fc.nat(50), fc.nat(), (items, wanted, seed) => {
        const once = draw(items, Math.min(wanted, items.length), false, seededRandom(seed));
        assert.equal(new Set(once).size, Math.min(wanted, items.length));
        const many = draw(items, wanted, true, seededRandom(seed));
        assert.equal(many.length, wanted);
        assert.ok(many.every((item) => items.includes(item)));
        assert.deepEqual(many, draw(items, wanted, true, seededRandom(seed)));
      }),
    );
  });

  it("gives every item its turn", () => {
    assert.equal(new Set(draw([1, 2, 3, 4, 5], 200, true, seededRandom(1))).size, 5);
  });
});
