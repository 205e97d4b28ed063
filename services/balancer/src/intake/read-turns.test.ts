import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { type Reader, ReadTurns } from "./read-turns.js";

class FakeReader implements Reader {
  readonly news: string[] = [];
  turn(): void {
    this.news.push("turn");
  }
  turnOver(): void {
    this.news.push("over");
  }
}

const limits = { maxCount: 2, maxBytes: 100, slowMs: 20, leastBytes: 10 };

function readers(count: number): FakeReader[] {
  return Array.from({ length: count }, () => new FakeReader());
}

describe("turns of large files", () => {
  it("are had at once where there are enough, and for as long as nobody waits", () => {
    const turns = new ReadTurns(limits, () => 0);
    const [one, two] = readers(2) as [FakeReader, FakeReader];
    assert.equal(turns.take(one), true);
    assert.equal(turns.take(two), true);
    turns.used(one, 1_000);
    assert.deepEqual(one.news, []);
  });

  it("end when enough has come, for whoever has waited longest", () => {
    const turns = new ReadTurns(limits, () => 0);
    const [one, two, three, four] = readers(4) as [FakeReader, FakeReader, FakeReader, FakeReader];
    assert.deepEqual(
      [one, two, three, four].map((reader) => turns.take(reader)),
      [true, true, false, false],
    );
    turns.used(one, 60);
    assert.deepEqual(three.news, []);
    turns.used(one, 40);
    assert.deepEqual([one.news, three.news, four.news], [["over"], ["turn"], []]);
    turns.leave(two);
    assert.deepEqual(four.news, ["turn"]);
    turns.leave(three);
    assert.deepEqual(one.news, ["over", "turn"]);
    turns.leave(four);
    turns.leave(one);
  });

  it("end when nothing comes while others wait, and not otherwise", async () => {
    let nowMs = 0;
    const turns = new ReadTurns(limits, () => nowMs);
    const [silent, busy, waiting] = readers(3) as [FakeReader, FakeReader, FakeReader];
    turns.take(silent);
    turns.take(busy);
    turns.take(waiting);
    nowMs = 19;
    turns.used(busy, 10);
    await delay(30);
    assert.deepEqual([silent.news, waiting.news], [[], []]);
    nowMs = 20;
    await delay(30);
    assert.deepEqual([silent.news, busy.news, waiting.news], [["over"], [], ["turn"]]);
    turns.leave(busy);
    assert.deepEqual(silent.news, ["over", "turn"]);
  });

  it("end when little comes while others wait, however often it does", async () => {
    let nowMs = 0;
    const turns = new ReadTurns(limits, () => nowMs);
    const [slow, busy, waiting] = readers(3) as [FakeReader, FakeReader, FakeReader];
    for (const reader of [slow, busy, waiting]) turns.take(reader);
    for (nowMs = 1; nowMs < 20; nowMs++) {
      if (nowMs % 4 === 0) turns.used(slow, 1);
      turns.used(busy, 2);
    }
    await delay(30);
    assert.deepEqual([slow.news, busy.news, waiting.news], [["over"], [], ["turn"]]);
    // It has waited for longer, but goes behind whoever sends.
    turns.take(new FakeReader());
    turns.leave(busy);
    assert.deepEqual(slow.news, ["over"]);
    turns.leave(waiting);
    assert.deepEqual(slow.news, ["over", "turn"]);
    turns.leave(slow);
  });

  it("go to whoever has not been silent first, and are taken at once from who has", async () => {
    let nowMs = 0;
    const turns = new ReadTurns({ ...limits, maxCount: 1 }, () => nowMs);
    const [silent, next, last] = readers(3) as [FakeReader, FakeReader, FakeReader];
    turns.take(silent);
    turns.take(next);
    nowMs = 20;
    await delay(30);
    assert.deepEqual([silent.news, next.news], [["over"], ["turn"]]);
    assert.equal(turns.take(last), false);
    turns.leave(next);
    // It has waited for longer, but sent nothing in its turn.
    assert.deepEqual([silent.news, last.news], [["over"], ["turn"]]);
    turns.leave(last);
    assert.deepEqual(silent.news, ["over", "turn"]);
    assert.equal(turns.take(next), true);
    assert.deepEqual(silent.news, ["over", "turn", "over"]);
    turns.leave(next);
    turns.leave(silent);
  });

  it("are not given to who has left", () => {
    const turns = new ReadTurns({ ...limits, maxCount: 1 }, () => 0);
    const [one, gone, last] = readers(3) as [FakeReader, FakeReader, FakeReader];
    for (const reader of [one, gone, last]) turns.take(reader);
    turns.leave(gone);
    turns.leave(one);
    assert.deepEqual([gone.news, last.news], [[], ["turn"]]);
  });
});
