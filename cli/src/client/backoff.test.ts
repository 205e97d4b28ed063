import assert from "node:assert/strict";
import { backoffMs } from "./backoff.js";

describe("backoffMs", () => {
  it("doubles its cap from 100 ms to 2 s and takes a random share of it", () => {
    const caps = [1, 2, 3, 4, 5, 6, 7, 1_000].map((failures) => backoffMs(failures, 1));
    assert.deepEqual(caps, [100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000]);
    assert.equal(backoffMs(3, 0), 0);
    assert.equal(backoffMs(3, 0.5), 200);
  });
});
