import assert from "node:assert/strict";
import fc from "fast-check";
import { SmoothWeightedRoundRobin } from "./smooth-wrr.js";

const letter = (index: number) => String.fromCharCode(97 + index);

/** A scheduler with members a, b, c, ... of these weights. */
function scheduler(...weights: number[]): SmoothWeightedRoundRobin {
  const wrr = new SmoothWeightedRoundRobin();
  offer(wrr, weights);
  return wrr;
}

/** Offers a, b, c, ... with these weights; those of weight 0 are withdrawn. */
function offer(wrr: SmoothWeightedRoundRobin, weights: readonly number[]): void {
  for (const [index, weight] of weights.entries()) {
    if (weight > 0) wrr.offer(letter(index), weight);
    else wrr.withdraw(letter(index));
  }
}

/** Picks so often, as one text: `a a b`. A pick of nobody is `-`. */
function picks(wrr: SmoothWeightedRoundRobin, count: number): string {
  return Array.from({ length: count }, () => wrr.pick() ?? "-").join(" ");
}

/** The most picks of the same member in a row. */
function longestRun(sequence: string): number {
  return Math.max(...(sequence.replaceAll(" ", "").match(/(.)\1*/g) ?? []).map(({ length }) => length));
}

/** nginx's algorithm as it is written there: a scan over all members with each pick. */
function* scan(weights: readonly number[]): Generator<number> {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const current = weights.map(() => 0);
  for (;;) {
    let best = 0;
    for (const [index, weight] of weights.entries()) {
      current[index] = (current[index] ?? 0) + weight;
      if ((current[index] ?? 0) > (current[best] ?? 0)) best = index;
    }
    current[best] = (current[best] ?? 0) - total;
    yield best;
  }
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
    it(`gives the same sequence of ${weights} when all weights are 100 times as large`, () => {
      assert.equal(picks(scheduler(...weights.map((weight) => 100 * weight)), expected.split(" ").length), expected);
    });
  }

  // Each step: weights from then on, and what is picked under them. A weight of 0 means that the member is not available.
  const tables: [what: string, steps: [weights: readonly number[], expected: string][]][] = [
    [
      "nothing is saved up or lost while none is available",
      [
        [[5, 1, 1], "a"],
        [[0, 0, 0], "- - -"],
        [[5, 1, 1], "a b a c a a"],
      ],
    ],
    [
      "the rest share while one is away",
      [
        [[5, 1, 1], "a a b"],
        [[0, 1, 1], "c c b c"],
        [[5, 1, 1], "a a b a a c a"],
      ],
    ],
    [
      "who was away for long gets no burst",
      [
        [[1, 1], "a b"],
        [[1, 0], "a a a a a a a a"],
        [[1, 1], "a b a b a b"],
      ],
    ],
    [
      "a newcomer gets no burst",
      [
        [[1, 1], "a b a b a"],
        [[1, 1, 1], "b c a b c a"],
      ],
    ],
    [
      "a heavy newcomer gets no burst",
      [
        [[1, 1], "a b a b"],
        [[1, 1, 3], "c a c b c c a c b c"],
      ],
    ],
    [
      "a new weight counts at once",
      [
        [[5, 1, 1], "a a b a c a a"],
        [[1, 1, 5], "c c a c b c c"],
      ],
    ],
    [
      "a new weight counts at once, in mid-sequence",
      [
        [[5, 1, 1], "a a b"],
        [[1, 1, 1], "c a c a b c a b c a b"],
      ],
    ],
    [
      "who has gone is passed over",
      [
        [[5, 1, 1], "a a"],
        [[5, 1, 0], "b a a a a a b a a a a a"],
      ],
    ],
  ];
  for (const [what, steps] of tables) {
    it(`golden table: ${what}`, () => {
      const wrr = scheduler();
      for (const [weights, expected] of steps) {
        offer(wrr, weights);
        assert.equal(picks(wrr, expected.split(" ").length), expected, `with ${weights}`);
      }
    });
  }

  it("picks nobody from an empty pool", () => {
    assert.equal(picks(scheduler(), 2), "- -");
  });

  it("forgets a member for good: under the same name it is a newcomer, last among equals", () => {
    const wrr = scheduler(1, 1, 1);
    assert.equal(picks(wrr, 1), "a");
    wrr.forget("a");
    assert.equal(picks(wrr, 4), "b c b c");
    wrr.offer("a", 1);
    assert.equal(picks(wrr, 6), "b c a b c a");
  });

  it("starves nobody when weights fall from the largest to the smallest in mid-sequence", () => {
    const wrr = scheduler(256, 256);
    assert.equal(picks(wrr, 1), "a");
    offer(wrr, [1, 1]);
    const sequence = picks(wrr, 20);
    assert.ok(longestRun(sequence) <= 3, sequence);
  });

  it("starves nobody when the heaviest member leaves in mid-sequence", () => {
    const wrr = scheduler(1, 1, 256);
    picks(wrr, 129);
    wrr.withdraw("c");
    const sequence = picks(wrr, 20);
    assert.ok(longestRun(sequence) <= 3, sequence);
  });

  for (const weight of [0, -1, 1.5, Number.NaN]) {
    it(`refuses the weight ${weight}, naming the server`, () => {
      assert.throws(() => scheduler().offer("b", weight), {
        name: "RangeError",
        message: `the weight of b is ${weight}; expected a whole number from 1`,
      });
    });
  }

  const weights = fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 1, maxLength: 8 });
  const many = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 120 });

  it("gives the very sequence of a scan over all members, ties included (property)", () => {
    fc.assert(
      fc.property(fc.oneof(weights, many), (list) => {
        const wrr = new SmoothWeightedRoundRobin();
        for (const [index, weight] of list.entries()) wrr.offer(`${index}`, weight);
        const reference = scan(list);
        for (let pick = 0; pick < 1_000; pick++) assert.equal(wrr.pick(), `${reference.next().value}`, `pick ${pick}`);
      }),
      { numRuns: 40 },
    );
  });

  it("goes on exactly when numbers grow too large to be exact", () => {
    // The sum of the weights is 2^39: after a few thousand picks, what has grown must be settled.
    const list = [2 ** 38, 2 ** 37, 2 ** 37];
    const expected = picks(scheduler(2, 1, 1), 100_000);
    assert.equal(picks(scheduler(...list), 100_000), expected);
  });

  it("gives each exactly its weight over any window of the sum of the weights (property)", () => {
    fc.assert(
      fc.property(weights, fc.nat(600), (list, start) => {
        const wrr = scheduler(...list);
        const sum = list.reduce((total, weight) => total + weight, 0);
        picks(wrr, start);
        const window = picks(wrr, sum).split(" ");
        for (const [index, weight] of list.entries()) {
          assert.equal(window.filter((picked) => picked === letter(index)).length, weight, letter(index));
        }
      }),
    );
  });

  it("never picks an unavailable member, and always one if there is one (property)", () => {
    const steps = fc.array(fc.uint8Array({ minLength: 8, maxLength: 8, max: 1 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(weights, steps, (list, masks) => {
        const wrr = scheduler();
        for (const mask of masks) {
          const now = list.map((weight, index) => weight * (mask[index] ?? 0));
          offer(wrr, now);
          const picked = wrr.pick();
          if (now.every((weight) => weight === 0)) assert.equal(picked, undefined);
          else assert.ok(picked !== undefined && (now[picked.charCodeAt(0) - 97] ?? 0) > 0);
        }
      }),
    );
  });

  it("comes back to the shares within two picks of them, whatever happened to availability and weights before (property)", () => {
    const steps = fc.array(fc.uint8Array({ minLength: 5, maxLength: 5, max: 20 }), { maxLength: 100 });
    const few = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(few, steps, (list, before) => {
        const wrr = scheduler();
        for (const changed of before) {
          offer(wrr, [...changed].slice(0, list.length));
          wrr.pick();
        }
        offer(wrr, list);
        const sum = list.reduce((total, weight) => total + weight, 0);
        const window = picks(wrr, sum).split(" ");
        for (const [index, weight] of list.entries()) {
          const count = window.filter((picked) => picked === letter(index)).length;
          assert.ok(Math.abs(count - weight) <= 2, `${letter(index)} of weight ${weight} was picked ${count} times`);
        }
      }),
    );
  });

  it("costs about the same with 10,000 members as with 10", () => {
    const nsPerPick = (members: number) => {
      const wrr = new SmoothWeightedRoundRobin();
      for (let index = 0; index < members; index++) wrr.offer(`${index}`, 1 + (index % 10));
      for (let pick = 0; pick < 20_000; pick++) wrr.pick();
      const startedMs = performance.now();
      for (let pick = 0; pick < 100_000; pick++) wrr.pick();
      return performance.now() - startedMs;
    };
    const best = (members: number) => Math.min(...[1, 2, 3].map(() => nsPerPick(members)));
    // A scan would cost 1,000 times as much.
    const ratio = best(10_000) / best(10);
    assert.ok(ratio < 50, `${ratio} times as much`);
  });
});
