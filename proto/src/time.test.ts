import assert from "node:assert/strict";
import fc from "fast-check";
import { fromDuration, fromTimestamp, toDuration, toTimestamp } from "./time.js";

describe("time", () => {
  it("comes back from a timestamp and from a duration as it went in", () => {
    const ms = fc.integer({ min: -(10 ** 14), max: 10 ** 14 });
    fc.assert(
      fc.property(ms, (value) => {
        assert.equal(fromTimestamp(toTimestamp(value)), value);
        assert.equal(fromDuration(toDuration(value)), value);
      }),
    );
  });

  it("keeps protobuf's rules of sign: a timestamp's nanos are never negative, a duration's have the sign of its seconds", () => {
    assert.deepEqual(toTimestamp(-1), { seconds: -1n, nanos: 999_000_000 });
    assert.deepEqual(toDuration(-1_500), { seconds: -1n, nanos: -500_000_000 });
    assert.deepEqual(toDuration(1_500), { seconds: 1n, nanos: 500_000_000 });
  });
});
