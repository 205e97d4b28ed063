import assert from "node:assert/strict";
import fc from "fast-check";
import { SharedList } from "./shared-list.js";

describe("a list that is handed out as it is", () => {
  it("goes on changing, and what was handed out stays as it was (property)", () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant("set" as const), at: fc.nat(), value: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("truncate" as const), at: fc.nat(), value: fc.nat() }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("share" as const), at: fc.nat(), value: fc.nat() }) },
    );
    const run = fc.property(fc.nat(80), fc.array(step, { maxLength: 100 }), (count, steps) => {
      const list = new SharedList<number>();
      const plain = Array.from({ length: count }, (_, index) => index);
      for (const value of plain) list.set(value, value);
      const shared: (readonly [given: readonly (readonly number[])[], expected: readonly number[]])[] = [];
      for (const { kind, at, value } of steps) {
        const index = at % (plain.length + 1);
        if (kind === "set") {
          list.set(index, value);
          plain[index] = value;
        } else if (kind === "truncate") {
          list.truncate(index);
          plain.length = Math.min(plain.length, index);
        } else shared.push([list.share(), [...plain]]);
        assert.equal(list.length, plain.length);
        assert.equal(list.get(index), plain[index]);
      }
      assert.deepEqual(list.share().flat(), plain);
      for (const [given, expected] of shared) assert.deepEqual(given.flat(), expected);
    });
    fc.assert(run);
  });

  it("shares what has not changed", () => {
    const list = new SharedList<number>();
    for (let index = 0; index < 100; index += 1) list.set(index, index);
    const before = list.share();
    assert.equal(list.share(), before);
    list.set(50, -1);
    const after = list.share();
    assert.equal(after.filter((block, at) => block !== before[at]).length, 1);
  });

  it("has no holes", () => {
    const list = new SharedList<number>();
    assert.throws(() => list.set(1, 0), /expected an index of 0 to 0; came 1/);
    assert.throws(() => list.set(-1, 0), RangeError);
  });
});
