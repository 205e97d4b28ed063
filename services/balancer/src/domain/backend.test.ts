import assert from "node:assert/strict";
import { AdaptiveLimit } from "./adaptive-limit.js";
import {
  type Backend,
  fileLimit,
  inFlightCharge,
  isAvailable,
  isFull,
  isReachable,
  leastBad,
  newBackend,
} from "./backend.js";

const limits = { maxFiles: 3, maxBytes: 1_000 };
const backend = (changes: Partial<Backend> = {}): Backend => ({
  ...newBackend({ name: "storage-1", address: "127.0.0.1:50061", weight: 5 }, 1),
  health: { kind: "healthy", sinceMs: 1, reason: "answers SERVING", doubts: 0 },
  ...changes,
});

describe("backend", () => {
  it("is neither reachable nor available before it is known to be healthy", () => {
    const fresh = newBackend({ name: "a", address: "h:1", weight: 1 }, 1);
    assert.equal(fresh.health.kind, "unknown");
    assert.equal(isReachable(fresh), false);
    assert.equal(isAvailable(fresh, limits, 5), false);
  });

  for (const [what, changes, available] of [
    ["idle", {}, true],
    ["unhealthy", { health: { kind: "unhealthy", sinceMs: 1, reason: "gone", doubts: 0 } }, false],
    ["overloaded", { overload: { sinceMs: 1, reason: "memory" } }, false],
    ["draining", { draining: { sinceMs: 1, reason: "an operator" } }, false],
    ["ejected a little longer", { ejection: { sinceMs: 1, untilMs: 101, reason: "failures" } }, false],
    ["ejected until now", { ejection: { sinceMs: 1, untilMs: 100, reason: "failures" } }, true],
    ["almost full of files", { inFlightFiles: 2 }, true],
    ["full of files", { inFlightFiles: 3 }, false],
    ["almost full of bytes", { inFlightBytes: 999 }, true],
    ["full of bytes", { inFlightBytes: 1_000 }, false],
    ["busy a little longer", { busyUntilMs: 101 }, false],
    ["busy until now", { busyUntilMs: 100 }, true],
  ] as [string, Partial<Backend>, boolean][]) {
    it(`is ${available ? "" : "not "}available when ${what}`, () => {
      assert.equal(isAvailable(backend(changes), limits, 100), available);
    });
  }

  it("can still be reached when overloaded or full", () => {
    const full = backend({ overload: { sinceMs: 1, reason: "memory" }, inFlightFiles: 9 });
    assert.equal(isReachable(full), true);
    assert.equal(isFull(full, limits), true);
  });

  it("counts a file with its size, at most 1 MiB; one of unknown size as large", () => {
    assert.deepEqual([0, 5, 2 ** 20, 2 ** 40, undefined].map(inFlightCharge), [0, 5, 2 ** 20, 2 ** 20, 2 ** 20]);
  });

  it("takes no more files than was learned, and never more than is allowed", () => {
    const learned = backend({ limit: new AdaptiveLimit(2) });
    assert.equal(fileLimit(learned, limits), 2);
    assert.equal(isFull({ ...learned, inFlightFiles: 2 }, limits), true);
    assert.equal(fileLimit(backend({ limit: new AdaptiveLimit(9) }), limits), 3);
  });

  const overload = { sinceMs: 1, reason: "memory" };
  const named = (name: string, changes: Partial<Backend>) => ({ name, backend: backend({ overload, ...changes }) });
  for (const [what, servers, expected] of [
    [
      "the one with the least on its way",
      [named("a", { inFlightBytes: 300 }), named("b", { inFlightBytes: 200 })],
      "b",
    ],
    [
      "for its weight",
      [named("a", { inFlightBytes: 300, weight: 5 }), named("b", { inFlightBytes: 200, weight: 1 })],
      "a",
    ],
    [
      "an ejected one as well",
      [named("a", { inFlightBytes: 1 }), named("b", { overload: undefined, ejection: { ...overload, untilMs: 999 } })],
      "b",
    ],
    ["the first of equals", [named("a", {}), named("b", {})], "a"],
    ["none that is full", [named("a", { inFlightFiles: 3 })], undefined],
    ["none that asked to be left alone", [named("a", { busyUntilMs: 101 })], undefined],
    ["none that drains", [named("a", { draining: overload })], undefined],
    [
      "none that cannot be reached",
      [named("a", { health: { kind: "unhealthy", sinceMs: 1, reason: "gone", doubts: 0 } })],
      undefined,
    ],
    ["none of none", [], undefined],
  ] as const) {
    it(`is the least bad: ${what}`, () => assert.equal(leastBad(servers, limits, 100)?.name, expected));
  }
});
