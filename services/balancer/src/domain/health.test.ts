import assert from "node:assert/strict";
import { nextHealth, unknownHealth } from "./health.js";

const failing = (reason: string) => ({ kind: "failing", reason }) as const;
const serving = { kind: "serving" } as const;

describe("health", () => {
  it("is unknown at first, and one sign settles it either way", () => {
    const unknown = unknownHealth(1);
    assert.deepEqual(unknown, { kind: "unknown", sinceMs: 1, reason: "not probed yet" });
    assert.deepEqual(nextHealth(unknown, serving, 2), { kind: "healthy", sinceMs: 2, reason: "answers SERVING" });
    assert.deepEqual(nextHealth(unknown, failing("gone"), 3), { kind: "unhealthy", sinceMs: 3, reason: "gone" });
  });

  it("changes with one contrary sign, and tells since when", () => {
    const healthy = nextHealth(unknownHealth(1), serving, 2);
    const unhealthy = nextHealth(healthy, failing("gone"), 9);
    assert.deepEqual(unhealthy, { kind: "unhealthy", sinceMs: 9, reason: "gone" });
    assert.deepEqual(nextHealth(unhealthy, serving, 12).sinceMs, 12);
  });

  it("stays the very same object while nothing changes", () => {
    const healthy = nextHealth(unknownHealth(1), serving, 2);
    assert.equal(nextHealth(healthy, serving, 3), healthy);
    const unhealthy = nextHealth(healthy, failing("gone"), 9);
    assert.equal(nextHealth(unhealthy, failing("gone"), 10), unhealthy);
  });

  it("takes a new reason without beginning anew", () => {
    const unhealthy = nextHealth(unknownHealth(1), failing("gone"), 5);
    assert.deepEqual(nextHealth(unhealthy, failing("says NOT_SERVING"), 8), {
      kind: "unhealthy",
      sinceMs: 5,
      reason: "says NOT_SERVING",
    });
  });
});
