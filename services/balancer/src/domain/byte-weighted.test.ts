import assert from "node:assert/strict";
import fc from "fast-check";
import { byteWeighted } from "./byte-weighted.js";

/** Numbers of Park and Miller's generator, from 0 up to, not including, 1. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state - 1) / 2_147_483_646;
  };
}

/** A size whose logarithm is normally distributed (Box and Muller). */
function logNormal(random: () => number, medianBytes: number, sigma: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.round(medianBytes * Math.exp(sigma * normal));
}

/** Gives each file to the server that is picked; the bytes by server. */
function place(weights: readonly number[], sizes: readonly number[]): number[] {
  const policy = byteWeighted();
  for (const [index, weight] of weights.entries()) policy.offer(`${index}`, weight);
  const bytes = weights.map(() => 0);
  for (const size of sizes) {
    const server = Number(policy.pick(size));
    bytes[server] = (bytes[server] ?? 0) + size;
  }
  return bytes;
}

describe("byte-weighted round robin", () => {
  it("is smooth weighted round robin where all files have one size", () => {
    const policy = byteWeighted();
    for (const [name, weight] of [
      ["a", 5],
      ["b", 1],
      ["c", 1],
    ] as const)
      policy.offer(name, weight);
    assert.equal(Array.from({ length: 7 }, () => policy.pick(4_096)).join(" "), "a a b a c a a");
  });

  it("gives a large file to one, and the others the small ones that make up for it", () => {
    const policy = byteWeighted();
    for (const name of ["a", "b", "c"]) policy.offer(name, 1);
    const sizes = [6_400, ...Array<number>(6).fill(3_136), 6_400];
    assert.equal(sizes.map((size) => policy.pick(size)).join(" "), "a b c b c b c a");
  });

  it("sends empty files around, too", () => {
    const policy = byteWeighted();
    for (const name of ["a", "b"]) policy.offer(name, 1);
    assert.equal(Array.from({ length: 4 }, () => policy.pick(0)).join(" "), "a b a b");
  });

  for (const [sigma, weights] of [
    [1, [5, 3, 2]],
    [1, [256, 128, 64]],
    [0.5, [1, 1, 1, 1, 1, 1, 1, 1]],
  ] as const) {
    it(`places bytes within 2% of the weights ${weights}, over 10,000 log-normal sizes (sigma ${sigma})`, () => {
      for (const seed of [1, 4_711, 20_260_101]) {
        const random = numbers(seed);
        const sizes = Array.from({ length: 10_000 }, () => logNormal(random, 20_000, sigma));
        const total = sizes.reduce((sum, size) => sum + size, 0);
        const sum = weights.reduce((all: number, weight) => all + weight, 0);
        for (const [index, bytes] of place(weights, sizes).entries()) {
          const off = bytes / ((total * (weights[index] ?? 0)) / sum) - 1;
          assert.ok(Math.abs(off) < 0.02, `seed ${seed}: server ${index} is off by ${(100 * off).toFixed(2)}%`);
        }
      }
    });
  }

  it("is never further from the shares than the largest file, and some rounding (property)", () => {
    const files = fc.array(fc.oneof(fc.nat(10_000), fc.nat(2 ** 40)), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 1, maxLength: 8 }),
        files,
        (weights, sizes) => {
          const total = sizes.reduce((sum, size) => sum + size, 0);
          const sum = weights.reduce((all, weight) => all + weight, 0);
          const slack = Math.max(...sizes) + 128 * sizes.length;
          for (const [index, bytes] of place(weights, sizes).entries()) {
            assert.ok(Math.abs(bytes - (total * (weights[index] ?? 0)) / sum) <= slack);
          }
        },
      ),
    );
  });

  it("makes up for files that turned out larger or smaller than they were picked for", () => {
    const policy = byteWeighted();
    for (const name of ["a", "b"]) policy.offer(name, 1);
    assert.equal(policy.pick(6_400), "a");
    policy.correct("a", 6_400, 64_000);
    assert.equal(Array.from({ length: 9 }, () => policy.pick(6_400)).join(" "), "b ".repeat(9).trim());
    policy.correct("b", 6_400, 0);
    assert.equal(policy.pick(6_400), "b");
  });
});
