import assert from "node:assert/strict";
import fc from "fast-check";
import { LeastLoad } from "./least-load.js";

/** Chance that comes from a list, again and again. */
function listed(...values: readonly number[]): () => number {
  let at = 0;
  return () => values[at++ % values.length] ?? 0;
}

function policy(servers: Record<string, { weight: number; load: number }>, random: () => number): LeastLoad {
  const chosen = new LeastLoad((name) => servers[name]?.load ?? 0, random);
  for (const [name, { weight }] of Object.entries(servers)) chosen.offer(name, weight);
  return chosen;
}

describe("least load", () => {
  const servers = { a: { weight: 2, load: 600 }, b: { weight: 1, load: 200 }, c: { weight: 1, load: 250 } };
  // Draws are points of the sum of the weights: a has [0, 2), b [2, 3), c [3, 4); the second draw leaves the first one out.
  for (const [draws, size, expected] of [
    [[0, 0], 0, "b"], // a: 300, b: 200
    [[0, 0.9], 0, "c"], // a: 300, c: 250
    [[0, 0.9], 500, "a"], // a: 550, c: 750
    [[0.6, 0.9], 0, "b"], // b: 200, c: 250
    [[0.9, 0.9], 0, "b"], // c: 250, b: 200
  ] as const) {
    it(`gives ${size} bytes to ${expected} where chance draws ${draws}`, () => {
      assert.equal(policy(servers, listed(...draws)).pick(size), expected);
    });
  }

  it("picks nobody where there is none, and the only one there is", () => {
    const chosen = policy({}, listed(0.5));
    assert.equal(chosen.pick(1), undefined);
    chosen.offer("a", 3);
    assert.equal(chosen.pick(1), "a");
    chosen.withdraw("a");
    assert.equal(chosen.pick(1), undefined);
    chosen.offer("a", 3);
    chosen.forget("a");
    chosen.offer("b", 1);
    assert.equal(chosen.pick(1), "b");
  });

  it("follows the weights while all are idle", () => {
    const chosen = policy(
      { a: { weight: 5, load: 0 }, b: { weight: 3, load: 0 }, c: { weight: 2, load: 0 } },
      fractions(),
    );
    const counts = new Map<string, number>();
    for (let pick = 0; pick < 10_000; pick++) {
      const name = chosen.pick(0) ?? "-";
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    for (const [name, share] of [
      ["a", 0.5],
      ["b", 0.3],
      ["c", 0.2],
    ] as const)
      assert.ok(Math.abs((counts.get(name) ?? 0) / 10_000 - share) < 0.02, `${name}: ${counts.get(name)}`);
  });

  it("keeps the load for their weights even where one is slow", () => {
    // Each round two files of 10 bytes come, and each server works off what is its due; the slow one half of that.
    const loads = { fast: { weight: 1, load: 0 }, other: { weight: 1, load: 0 }, slow: { weight: 1, load: 0 } };
    const chosen = policy(loads, fractions());
    for (let round = 0; round < 2_000; round++) {
      for (let file = 0; file < 2; file++) loads[chosen.pick(10) as keyof typeof loads].load += 10;
      for (const name of ["fast", "other", "slow"] as const)
        loads[name].load = Math.max(0, loads[name].load - (name === "slow" ? 4 : 8.5));
    }
    assert.ok(loads.slow.load < 100, `the slow one has ${loads.slow.load} bytes on its way`);
  });

  it("never picks one that is not offered (property)", () => {
    const step = fc.record({
      name: fc.constantFrom("a", "b", "c", "d", "e"),
      weight: fc.nat(256),
      forget: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999_999, noNaN: true })),
        (steps, chance) => {
          const offered = new Map<string, number>();
          const chosen = new LeastLoad(
            () => 0,
            () => chance.next().value ?? 0,
          );
          for (const { name, weight, forget } of steps) {
            if (weight > 0) {
              chosen.offer(name, weight);
              offered.set(name, weight);
            } else {
              if (forget) chosen.forget(name);
              else chosen.withdraw(name);
              offered.delete(name);
            }
            const picked = chosen.pick(1);
            if (offered.size === 0) assert.equal(picked, undefined);
            else assert.ok(picked !== undefined && offered.has(picked));
          }
        },
      ),
    );
  });
});

/** Points that fill the interval evenly (van der Corput), two at a time without a pattern between them. */
function fractions(): () => number {
  let count = 0;
  return () => {
    count += 1;
    const base = count % 2 === 0 ? 2 : 3;
    let value = 0;
    let weight = 1 / base;
    for (let rest = Math.ceil(count / 2); rest > 0; rest = Math.floor(rest / base)) {
      value += (rest % base) * weight;
      weight /= base;
    }
    return value;
  };
}
