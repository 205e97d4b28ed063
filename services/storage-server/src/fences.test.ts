import assert from "node:assert/strict";
import { compareFences, Fences } from "./fences.js";

describe("fences", () => {
  it("compares the term first", () => {
    assert.ok(compareFences({ term: 1n, attempt: 9 }, { term: 2n, attempt: 1 }) < 0);
    assert.ok(compareFences({ term: 2n, attempt: 2 }, { term: 2n, attempt: 1 }) > 0);
    assert.equal(compareFences({ term: 2n, attempt: 2 }, { term: 2n, attempt: 2 }), 0);
  });

  it("keeps the highest of a file", () => {
    const fences = new Fences(10);
    fences.raise("a", { term: 1n, attempt: 3 });
    fences.raise("a", { term: 1n, attempt: 2 });
    assert.deepEqual(fences.get("a"), { term: 1n, attempt: 3 });
    fences.forget("a");
    assert.equal(fences.get("a"), undefined);
  });

  it("forgets the one raised longest ago when there are too many", () => {
    const fences = new Fences(2);
    const fence = { term: 1n, attempt: 1 };
    for (const key of ["a", "b", "a", "c"]) fences.raise(key, fence);
    assert.deepEqual([fences.get("a"), fences.get("b"), fences.get("c")], [fence, undefined, fence]);
  });
});
