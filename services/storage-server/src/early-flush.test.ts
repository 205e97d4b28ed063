import assert from "node:assert/strict";
import { EarlyFlush, EarlyFlushTurn, earlyFlushBytes } from "./early-flush.js";

/** Flushes that end when they are told to. */
class HeldFlushes {
  readonly #held: { resolve: () => void; reject: (error: Error) => void }[] = [];
  count = 0;

  readonly flush = (): Promise<void> => {
    this.count += 1;
    return new Promise((resolve, reject) => this.#held.push({ resolve, reject }));
  };

  async settle(error?: Error): Promise<void> {
    const held = this.#held.shift();
    if (error) held?.reject(error);
    else held?.resolve();
    await new Promise(setImmediate);
  }
}

describe("EarlyFlush", () => {
  it("flushes what has been written as soon as it is much, one flush after another", async () => {
    const flushes = new HeldFlushes();
    const early = new EarlyFlush(new EarlyFlushTurn(), flushes.flush);
    early.wrote(earlyFlushBytes - 1);
    assert.equal(flushes.count, 0);
    early.wrote(1);
    assert.equal(flushes.count, 1);
    early.wrote(earlyFlushBytes);
    assert.equal(flushes.count, 1);
    await flushes.settle();
    early.wrote(1);
    assert.equal(flushes.count, 2);
    await flushes.settle();
    await early.end();
  });

  it("lets one file be flushed at a time", async () => {
    const turn = new EarlyFlushTurn();
    const flushes = new HeldFlushes();
    const [first, second] = [new EarlyFlush(turn, flushes.flush), new EarlyFlush(turn, flushes.flush)];
    first.wrote(earlyFlushBytes);
    second.wrote(earlyFlushBytes);
    assert.equal(flushes.count, 1);
    // Nothing of the second one is under way.
    await second.end();
    await flushes.settle();
    second.wrote(1);
    assert.equal(flushes.count, 2);
    await flushes.settle();
    await Promise.all([first.end(), second.end()]);
  });

  it("ends with the error of a flush that has failed, and flushes no more", async () => {
    const turn = new EarlyFlushTurn();
    const flushes = new HeldFlushes();
    const early = new EarlyFlush(turn, flushes.flush);
    early.wrote(earlyFlushBytes);
    await flushes.settle(new Error("EIO"));
    early.wrote(earlyFlushBytes);
    assert.equal(flushes.count, 1);
    await assert.rejects(early.end(), /EIO/);
    assert.equal(turn.isTaken, false);
  });

  it("ends after the flush that is under way", async () => {
    const flushes = new HeldFlushes();
    const early = new EarlyFlush(new EarlyFlushTurn(), flushes.flush);
    early.wrote(earlyFlushBytes);
    let isEnded = false;
    const ended = early.end().then(() => {
      isEnded = true;
    });
    await new Promise(setImmediate);
    assert.equal(isEnded, false);
    await flushes.settle();
    await ended;
  });
});
