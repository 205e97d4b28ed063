import assert from "node:assert/strict";
import fc from "fast-check";
import { type Priority, priorities, priorityWeights } from "./priority.js";
import { PriorityLines } from "./priority-lines.js";

/** Things that wait, each with what it counts for. */
class Costs {
  readonly waiting: number[] = [];

  get firstCost(): number {
    return this.waiting[0] ?? 0;
  }
}

function linesOf(waiting: Partial<Record<Priority, readonly number[]>>): PriorityLines<Costs> {
  const lines = new PriorityLines(() => new Costs());
  for (const priority of priorities)
    for (const cost of waiting[priority] ?? []) lines.joining(priority).waiting.push(cost);
  return lines;
}

/** Takes one out: whose it was, and what it counted for. */
function take(lines: PriorityLines<Costs>): { priority: Priority; cost: number } | undefined {
  const { firstCost } = lines;
  const line = lines.take();
  const priority = priorities.find((each) => line && lines.of(each) === line);
  const cost = line?.waiting.shift();
  assert.equal(cost ?? 0, firstCost, "it is the one that was said to be next");
  return priority && cost !== undefined ? { priority, cost } : undefined;
}

/** All that goes out, by the first letters. */
function order(lines: PriorityLines<Costs>, count = Number.POSITIVE_INFINITY): string {
  let letters = "";
  for (let taken = take(lines); taken; taken = letters.length < count ? take(lines) : undefined)
    letters += taken.priority.slice(0, 1);
  return letters;
}

const some = (count: number, cost = 1) => Array<number>(count).fill(cost);

describe("one client's priorities", () => {
  const round = "hhhhnhhhhnhhhhnhhhhnl";
  const table: [string, Parameters<typeof linesOf>[0], string][] = [
    ["send 16 : 4 : 1, evenly mixed", { high: some(48), normal: some(12), low: some(3) }, round.repeat(3)],
    ["send 4 : 1 where two wait", { normal: some(8), low: some(2) }, "nnnnlnnnnl"],
    ["send 16 : 1 where two wait", { high: some(16), low: some(2) }, `${"h".repeat(16)}ll`],
    ["send one after another where one waits", { low: some(3) }, "lll"],
    ["count what things cost", { high: some(4, 16), normal: some(4, 1) }, "nnnhnhhh"],
    ["let a costly one of low priority wait for its cost", { normal: some(9), low: [2] }, "nnnnnnnnln"],
    ["send nothing where nothing waits", {}, ""],
  ];
  for (const [title, waiting, expected] of table) it(title, () => assert.equal(order(linesOf(waiting)), expected));

  it("let what is urgent go before what waits already, and save nothing up while they are empty", () => {
    const lines = linesOf({ normal: some(1_000) });
    assert.equal(order(lines, 500), "n".repeat(500));
    for (const cost of some(20)) lines.joining("high").waiting.push(cost);
    for (const cost of some(2)) lines.joining("low").waiting.push(cost);
    assert.equal(order(lines, 32), "hhhhnhhhhnhhhhnhhhhnlhhhhnnnnlnn");
  });

  it("send exactly by their weights over any round, for however long (property)", () => {
    fc.assert(
      fc.property(fc.nat(2_000), fc.integer({ min: 1, max: 16 * 1024 * 1024 }), (from, cost) => {
        const lines = linesOf({ high: some(2_000, cost), normal: some(500, cost), low: some(125, cost) });
        const window = order(lines).slice(from, from + 21);
        for (const priority of priorities)
          assert.equal([...window].filter((letter) => letter === priority[0]).length, priorityWeights[priority]);
      }),
    );
  });

  it("never hold one up for more than the weights allow, whatever comes meanwhile (property)", () => {
    const cost = fc.integer({ min: 16_384, max: 16 * 1024 * 1024 });
    const newcomer = fc.record({ priority: fc.constantFrom(...priorities), cost });
    fc.assert(
      fc.property(
        fc.array(newcomer, { maxLength: 100 }),
        fc.record({ priority: fc.constantFrom(...priorities), cost }),
        fc.array(fc.array(newcomer, { minLength: 1, maxLength: 6 }), { minLength: 50, maxLength: 50 }),
        (before, watched, arrivals) => {
          const lines = new PriorityLines(() => new Costs());
          for (const each of before)
            if (each.priority !== watched.priority) lines.joining(each.priority).waiting.push(each.cost);
          lines.joining(watched.priority).waiting.push(watched.cost);
          const passed = { high: 0, normal: 0, low: 0 };
          for (let at = 0; ; at++) {
            for (const each of arrivals[at % arrivals.length] ?? [])
              if (each.priority !== watched.priority) lines.joining(each.priority).waiting.push(each.cost);
            const taken = take(lines);
            assert.ok(taken);
            if (taken.priority === watched.priority) break;
            passed[taken.priority] += taken.cost;
            const rate = priorityWeights[taken.priority] / priorityWeights[watched.priority];
            // One that has nearly waited for long enough goes out beside.
            const allowed = watched.cost * rate + taken.cost;
            assert.ok(passed[taken.priority] <= allowed, `${passed[taken.priority]} passed, ${allowed} allowed`);
          }
        },
      ),
    );
  });
});
