import assert from "node:assert/strict";
import fc from "fast-check";
import { DeficitRoundRobin, fairCost } from "./deficit-round-robin.js";

const mib = 1024 * 1024;

/** Lanes with files of given sizes; sends `count` of them, and returns whose they were. */
function send(files: Record<string, number[]>, count: number): string[] {
  const rounds = new DeficitRoundRobin<string>();
  const left = new Map(Object.entries(files).map(([lane, sizes]) => [lane, [...sizes]]));
  for (const lane of left.keys()) rounds.join(lane);
  const sent: string[] = [];
  while (sent.length < count) {
    const lane = rounds.next((candidate) => fairCost(left.get(candidate)?.[0] ?? 0));
    if (lane === undefined) break;
    left.get(lane)?.shift();
    if (left.get(lane)?.length === 0) rounds.leave(lane);
    sent.push(lane);
  }
  return sent;
}

describe("deficit round robin", () => {
  const table: [string, Record<string, number[]>, number, string][] = [
    ["lets a single lane send what it has", { a: [1, 100 * mib, 1] }, 9, "a a a"],
    [
      "gives lanes with equal files equal turns",
      { a: Array(4).fill(mib), b: Array(4).fill(mib) },
      8,
      "a b a b a b a b",
    ],
    [
      "lets small files go while a large one saves up",
      { big: [3 * mib, 1], a: Array(6).fill(mib) },
      8,
      "a a big a big a a a",
    ],
    ["sends nothing where nothing waits", {}, 1, ""],
  ];
  for (const [title, files, count, expected] of table)
    it(title, () => assert.equal(send(files, count).join(" "), expected));

  it("lets a single file of one pass by the many of another", () => {
    const sent = send({ many: Array(50_000).fill(4_096), one: [4_096] }, 50_001);
    assert.equal(sent.indexOf("one"), 64);
  });

  it("gives lanes that always have something the same bytes, whatever their sizes (property)", () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 16 * mib }), { minLength: 50, maxLength: 50 });
    fc.assert(
      fc.property(fc.array(sizes, { minLength: 2, maxLength: 5 }), (lanes) => {
        const files = Object.fromEntries(lanes.map((lane, at) => [`lane ${at}`, lane]));
        const sent = send(files, 50);
        const charged = new Map(Object.keys(files).map((lane) => [lane, 0]));
        const at = new Map<string, number>();
        for (const lane of sent) {
          const index = at.get(lane) ?? 0;
          charged.set(lane, (charged.get(lane) ?? 0) + fairCost(files[lane]?.[index] ?? 0));
          at.set(lane, index + 1);
        }
        const sums = [...charged.values()];
        assert.ok(Math.max(...sums) - Math.min(...sums) <= 18 * mib, sums.join());
      }),
    );
  });
});
