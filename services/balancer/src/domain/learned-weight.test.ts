import assert from "node:assert/strict";
import fc from "fast-check";
import { type Delivered, learnedFactors } from "./learned-weight.js";

const seen = (bytes: number, byteMs: number, overloadedMs = 0): Delivered => ({
  bytes,
  byteMs,
  overloadedMs,
  elapsedMs: 1_000,
});

/** The factors after so many rounds in which the same is seen, rounded. */
function after(rounds: number, servers: Record<string, Delivered>): Record<string, number> {
  let factors = new Map<string, number>();
  for (let round = 0; round < rounds; round++) factors = learnedFactors(factors, new Map(Object.entries(servers)));
  return Object.fromEntries([...factors].map(([name, factor]) => [name, Math.round(factor * 100) / 100]));
}

/**
 * Servers that take longer the more they are given of what they can do: what each gets is by its factor. Gives each one's share of its capacity in
 * the end.
 */
function settle(capacities: readonly number[], loadBytes: number): number[] {
  let factors = new Map(capacities.map((_, index) => [String(index), 1]));
  const shares = () => {
    const sum = [...factors.values()].reduce((total, factor) => total + factor, 0);
    return capacities.map((capacity, index) => ((factors.get(String(index)) ?? 0) / sum) * (loadBytes / capacity));
  };
  for (let round = 0; round < 300; round++) {
    const used = shares();
    factors = learnedFactors(
      factors,
      new Map(used.map((use, index) => [String(index), seen(1, 1 / Math.max(0.01, 1 - Math.min(use, 0.99)))])),
    );
  }
  return shares();
}

describe("learned weights", () => {
  for (const [what, rounds, servers, expected] of [
    ["equals stay equal", 50, { a: seen(100, 5), b: seen(100, 5) }, { a: 1, b: 1 }],
    ["who is given more and takes as long stays as it is", 50, { a: seen(500, 25), b: seen(100, 5) }, { a: 1, b: 1 }],
    ["the quicker gets more, step by step", 1, { a: seen(100, 5), b: seen(100, 20) }, { a: 1.2, b: 0.9 }],
    ["and never more than four times as much", 100, { a: seen(100, 1), b: seen(100, 1_000) }, { a: 4, b: 0.25 }],
    ["overloaded half of the time is half as good", 1, { a: seen(100, 5), b: seen(100, 5, 500) }, { a: 1.08, b: 0.94 }],
    ["who delivers nothing gets less", 1, { a: seen(100, 5), b: seen(0, 5) }, { a: 1, b: 0.85 }],
    ["nothing is learned of one that had nothing to do", 9, { a: seen(100, 5), b: seen(0, 0) }, { a: 1, b: 1 }],
    ["nothing is learned when nobody delivers", 9, { a: seen(0, 5), b: seen(0, 5) }, { a: 1, b: 1 }],
    ["nothing is learned of one alone", 9, { a: seen(100, 5, 900) }, { a: 1 }],
  ] as [string, number, Record<string, Delivered>, Record<string, number>][]) {
    it(`golden table: ${what}`, () => assert.deepEqual(after(rounds, servers), expected));
  }

  it("gives servers about what they can do, although they are configured alike", () => {
    const used = settle([100, 200, 50], 250);
    assert.ok(Math.max(...used) - Math.min(...used) < 0.1, used.map((use) => use.toFixed(2)).join(", "));
  });

  it("forgets servers that are not there any more", () => {
    assert.deepEqual([...learnedFactors(new Map([["gone", 2]]), new Map([["a", seen(1, 1)]])).keys()], ["a"]);
  });

  it("stays within its bounds, whatever is seen (property)", () => {
    const delivered = fc.record({
      bytes: fc.nat(1e9),
      byteMs: fc.nat(1e9),
      overloadedMs: fc.nat(2_000),
      elapsedMs: fc.nat(2_000),
    });
    const rounds = fc.array(fc.dictionary(fc.constantFrom("a", "b", "c"), delivered), { maxLength: 30 });
    fc.assert(
      fc.property(rounds, (list) => {
        let factors = new Map<string, number>();
        for (const round of list) {
          factors = learnedFactors(factors, new Map(Object.entries(round)));
          for (const factor of factors.values()) assert.ok(factor >= 0.25 && factor <= 4, `${factor}`);
        }
      }),
    );
  });
});
