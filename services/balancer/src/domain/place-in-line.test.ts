import assert from "node:assert/strict";
import fc from "fast-check";
import { DeficitRoundRobin, fairCost, quantumBytes } from "./deficit-round-robin.js";
import { aheadOf } from "./place-in-line.js";

describe("a place in line", () => {
  const line = { rate: 1, turnBytes: 100 };
  const table: [string, Parameters<typeof aheadOf>, string][] = [
    ["is what stands before it where nobody else waits", [{ files: 3, costBytes: 300 }, []], "3 files, 300 bytes"],
    [
      "lets the next one's turn come after one of another",
      [{ files: 0, costBytes: 0 }, [{ ...line, files: 50, costBytes: 5_000 }]],
      "1 files, 100 bytes",
    ],
    [
      "counts no more of others than they have",
      [{ files: 9, costBytes: 900 }, [{ ...line, files: 2, costBytes: 200 }]],
      "11 files, 1100 bytes",
    ],
    [
      "counts others as quick as they are",
      [{ files: 10, costBytes: 1_000 }, [{ rate: 4, turnBytes: 0, files: 80, costBytes: 8_000 }]],
      "50 files, 5000 bytes",
    ],
  ];
  for (const [title, [own, others], expected] of table)
    it(title, () => {
      const { files, costBytes } = aheadOf(own, others);
      assert.equal(`${files} files, ${costBytes} bytes`, expected);
    });

  it("is about where the file comes out, with files alike within a client (property)", () => {
    const client = fc.record({
      count: fc.integer({ min: 1, max: 300 }),
      sizeBytes: fc.integer({ min: 0, max: 2 * quantumBytes }),
    });
    fc.assert(
      fc.property(fc.array(client, { minLength: 1, maxLength: 5 }), fc.nat(), (clients, at) => {
        const costs = clients.map(({ sizeBytes }) => fairCost(sizeBytes));
        const ahead = at % (clients[0]?.count ?? 1);
        const standing = (index: number, files: number) => ({ files, costBytes: files * (costs[index] ?? 0) });
        const others = clients
          .slice(1)
          .map(({ count }, index) => ({ ...standing(index + 1, count), ...{ rate: 1, turnBytes: quantumBytes } }));
        const told = aheadOf(standing(0, ahead), others);
        const rounds = new DeficitRoundRobin<number>();
        const left = clients.map(({ count }) => count);
        for (const index of left.keys()) rounds.join(index);
        let bytes = 0;
        for (let own = 0; ; ) {
          const lane = rounds.next((index) => costs[index] ?? 0);
          assert.ok(lane !== undefined);
          if (lane === 0 && own++ === ahead) break;
          bytes += costs[lane] ?? 0;
          left[lane] = (left[lane] ?? 0) - 1;
          if (left[lane] === 0) rounds.leave(lane);
        }
        // Who is where in the round, and what has been saved up, is not asked: a turn and a file of each.
        const slack = clients.length * 2 * (quantumBytes + Math.max(...costs));
        assert.ok(Math.abs(told.costBytes - bytes) <= slack, `${told.costBytes} told, ${bytes} came, slack ${slack}`);
      }),
    );
  });
});
