import assert from "node:assert/strict";
import fc from "fast-check";
import { type Backend, isAvailable, newBackend } from "./backend.js";
import { serverState } from "./server-state.js";

const limits = { maxFiles: 3, maxBytes: 1_000 };
const healthy = { kind: "healthy", sinceMs: 1, reason: "answers SERVING", doubts: 0 } as const;
const unhealthy = { kind: "unhealthy", sinceMs: 7, reason: "connection refused", doubts: 0 } as const;
const spell = { sinceMs: 5, reason: "why" };
const ejection = { sinceMs: 4, untilMs: 150, reason: "flapping" };

const backend = (changes: Partial<Backend> = {}): Backend => ({
  ...newBackend({ name: "storage-1", address: "127.0.0.1:50061", weight: 5 }, 1),
  health: healthy,
  ...changes,
});

describe("the state of a server", () => {
  for (const [changes, kind, sinceMs, reason] of [
    [{}, "available", 1, "answers SERVING"],
    [{ health: newBackend({ name: "a", address: "h:1", weight: 1 }, 3).health }, "unknown", 3, "not probed yet"],
    [{ health: unhealthy }, "unhealthy", 7, "connection refused"],
    [{ health: unhealthy, draining: spell }, "drained", 5, "why"],
    [{ draining: spell, inFlightFiles: 1 }, "draining", 5, "why"],
    [{ ejection, overload: spell }, "ejected", 4, "flapping; for another 50 ms"],
    [{ ejection: { ...ejection, untilMs: 100 } }, "available", 1, "answers SERVING"],
    [{ overload: spell, busyUntilMs: 101 }, "overloaded", 5, "why"],
    [{ busyUntilMs: 130, inFlightFiles: 3 }, "busy", undefined, "asked to be left alone for another 30 ms"],
    [{ inFlightFiles: 3, inFlightBytes: 8 }, "full", undefined, "3 files, 8 bytes on their way"],
  ] as [Partial<Backend>, string, number | undefined, string][]) {
    it(`is ${kind} with ${Object.keys(changes).join(" and ") || "nothing"} in its way`, () => {
      assert.deepEqual(serverState(backend(changes), limits, 100), { kind, sinceMs, reason });
    });
  }

  it("is available exactly when it may be given a file (property)", () => {
    const maybe = <T>(value: T) => fc.constantFrom(undefined, value);
    const facts = fc.record({
      health: fc.constantFrom(healthy, unhealthy),
      draining: maybe(spell),
      ejection: maybe(ejection),
      overload: maybe(spell),
      busyUntilMs: fc.constantFrom(0, 99, 100, 101, 160),
      inFlightFiles: fc.nat(4),
      inFlightBytes: fc.nat(1_100),
    });
    fc.assert(
      fc.property(facts, fc.constantFrom(100, 149, 150, 151), (changes, nowMs) => {
        const it = backend(changes);
        assert.equal(serverState(it, limits, nowMs).kind === "available", isAvailable(it, limits, nowMs));
      }),
    );
  });
});
