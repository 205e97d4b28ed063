import assert from "node:assert/strict";
import fc from "fast-check";
import { SmoothWeightedRoundRobin, type WeightedMember } from "./smooth-wrr.js";

const all = () => true;
const pool = (weights: readonly number[]): WeightedMember[] =>
  weights.map((weight, index) => ({ name: String.fromCharCode(97 + index), weight }));

function scheduler(...weights: number[]): SmoothWeightedRoundRobin {
  const wrr = new SmoothWeightedRoundRobin();
  wrr.setMembers(pool(weights));
  return wrr;
}

/** Picks so often, as one text: `a a b`. A pick of nobody is `-`. */
function picks(wrr: SmoothWeightedRoundRobin, count: number, isAvailable: (name: string) => boolean = all): string {
  return Array.from({ length: count }, () => wrr.pick(isAvailable) ?? "-").join(" ");
}

/** The most picks of the same member in a row. */
function longestRun(sequence: string): number {
  return Math.max(...(sequence.replaceAll(" ", "").match(/(.)\1*/g) ?? []).map(({ length }) => length));
}

describe("smooth weighted round robin", () => {
  for (const [weights, expected] of [
    [[1], "a a a"],
    [[1, 1], "a b a b"],
    [[5, 1, 1], "a a b a c a a a a b a c a a"],
    [[1, 1, 1], "a b c a b c"],
    [[3, 2, 1], "a b a c b a a b a c b a"],
    [[4, 2], "a b a a b a"],
    [[1, 256], `${"b ".repeat(128)}a ${"b ".repeat(128)}`.trim()],
  ] as const) {
    it(`gives the golden sequence of ${weights}`, () => {
      assert.equal(picks(scheduler(...weights), expected.split(" ").length), expected);
    });
  }

  it("picks nobody from an empty pool, and nobody while none is available", () => {
    assert.equal(picks(new SmoothWeightedRoundRobin(), 2), "- -");
    const wrr = scheduler(5, 1, 1);
    assert.equal(picks(wrr, 1), "a");
    assert.equal(
      picks(wrr, 5, () => false),
      "- - - - -",
    );
    // Nothing was saved up or lost in between.
    assert.equal(picks(wrr, 6), "a b a c a a");
  });

  it("shares among the rest while one is unavailable, and goes on with it after", () => {
    const wrr = scheduler(5, 1, 1);
    assert.equal(picks(wrr, 3), "a a b");
    assert.equal(
      picks(wrr, 4, (name) => name !== "a"),
      "c c b c",
    );
    const after = picks(wrr, 7);
    assert.equal(after.split("a").length - 1, 5, after);
  });

  it("gives a server that comes back no burst for the time it was away", () => {
    const wrr = scheduler(1, 1);
    picks(wrr, 1_000, (name) => name === "a");
    assert.ok(longestRun(picks(wrr, 20)) <= 2);
  });

  it("gives a newcomer no burst", () => {
    const wrr = scheduler(1, 1);
    picks(wrr, 1_001);
    wrr.setMembers(pool([1, 1, 1]));
    assert.ok(longestRun(picks(wrr, 30)) <= 2);
    wrr.setMembers(pool([1, 1, 1, 3]));
    const sequence = picks(wrr, 12);
    assert.equal(sequence.split("d").length - 1, 6, sequence);
    assert.ok(longestRun(sequence) <= 2, sequence);
  });

  it("takes a removed server out at once, and shares on", () => {
    const wrr = scheduler(5, 1, 1);
    assert.equal(picks(wrr, 2), "a a");
    wrr.setMembers(pool([5, 1]));
    const sequence = picks(wrr, 12);
    assert.doesNotMatch(sequence, /c/);
    assert.equal(sequence.split("b").length - 1, 2, sequence);
  });

  it("takes a new weight at once", () => {
    const wrr = scheduler(5, 1, 1);
    assert.equal(picks(wrr, 7), "a a b a c a a");
    wrr.setMembers(pool([1, 1, 5]));
    assert.equal(picks(wrr, 7), "c c a c b c c");
  });

  it("starves nobody when weights fall from the largest to the smallest in mid-sequence", () => {
    const wrr = scheduler(256, 256);
    assert.equal(picks(wrr, 1), "a");
    wrr.setMembers(pool([1, 1]));
    const sequence = picks(wrr, 20);
    assert.ok(longestRun(sequence) <= 3, sequence);
  });

  it("starves nobody when the heaviest server leaves in mid-sequence", () => {
    const wrr = scheduler(1, 1, 256);
    picks(wrr, 129);
    const sequence = picks(wrr, 20, (name) => name !== "c");
    assert.ok(longestRun(sequence) <= 3, sequence);
  });

  for (const weight of [0, 257, -1, 1.5, Number.NaN]) {
    it(`refuses the weight ${weight}, naming the server`, () => {
      assert.throws(() => scheduler(1, weight), {
        name: "RangeError",
        message: `the weight of b is ${weight}; expected a whole number from 1 to 256`,
      });
    });
  }

  const weights = fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 1, maxLength: 8 });

  it("gives each exactly its weight over any window of the sum of the weights (property)", () => {
    fc.assert(
      fc.property(weights, fc.nat(600), (list, start) => {
        const wrr = scheduler(...list);
        const sum = list.reduce((total, weight) => total + weight, 0);
        picks(wrr, start);
        const window = picks(wrr, sum).split(" ");
        for (const { name, weight } of pool(list)) {
          assert.equal(window.filter((picked) => picked === name).length, weight, name);
        }
      }),
    );
  });

  it("never picks an unavailable server, and always one if there is one (property)", () => {
    const steps = fc.array(fc.uint8Array({ minLength: 8, maxLength: 8, max: 1 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(weights, steps, (list, masks) => {
        const wrr = scheduler(...list);
        for (const mask of masks) {
          const available = pool(list)
            .filter((_, index) => mask[index] === 1)
            .map(({ name }) => name);
          const picked = wrr.pick((name) => available.includes(name));
          if (available.length === 0) assert.equal(picked, undefined);
          else assert.ok(picked !== undefined && available.includes(picked));
        }
      }),
    );
  });

  it("comes back to the shares within two picks of them, whatever happened to availability before (property)", () => {
    const steps = fc.array(fc.uint8Array({ minLength: 5, maxLength: 5, max: 1 }), { maxLength: 100 });
    const few = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(few, steps, (list, masks) => {
        const wrr = scheduler(...list);
        for (const mask of masks) wrr.pick((name) => mask[name.charCodeAt(0) - 97] === 1);
        const sum = list.reduce((total, weight) => total + weight, 0);
        const window = picks(wrr, sum).split(" ");
        for (const { name, weight } of pool(list)) {
          const count = window.filter((picked) => picked === name).length;
          assert.ok(Math.abs(count - weight) <= 2, `${name} of weight ${weight} was picked ${count} times`);
        }
      }),
    );
  });
});
