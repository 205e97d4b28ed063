import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Writable } from "node:stream";
import { BatchWriter } from "./batch-writer.js";
import { batchTargetBytes, maxPartsPerMessage } from "./limits.js";

interface Item {
  readonly id: number;
  readonly bytes: number;
  readonly alone?: boolean;
}

/** A stream that keeps its messages, and says 'enough' when told to. */
class FakeStream extends EventEmitter {
  readonly messages: number[][] = [];
  ended = false;
  enough = false;
  readonly #unsent: (() => void)[] = [];

  write(message: Item[], sent: () => void): boolean {
    this.messages.push(message.map(({ id }) => id));
    this.#unsent.push(sent);
    return !this.enough;
  }

  get writableNeedDrain(): boolean {
    return this.enough;
  }

  get writableLength(): number {
    return this.#unsent.length;
  }

  /** Has sent the oldest message that waits. */
  send(): void {
    this.#unsent.shift()?.();
  }

  end(): void {
    this.ended = true;
  }

  /** Makes room, and says so. */
  drain(): void {
    this.enough = false;
    this.emit("drain");
  }
}

function setUp(maxUnsent?: () => number) {
  const stream = new FakeStream();
  const writer = new BatchWriter<Item, Item[]>(stream as unknown as Writable, {
    toMessage: (items) => items,
    sizeOf: ({ bytes }) => bytes,
    alone: ({ alone }) => alone === true,
    maxUnsent,
  });
  return { stream, writer };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

/** Whether a promise is settled once this turn's microtasks have run. */
async function settled(promise: Promise<void>): Promise<boolean> {
  let done = false;
  void promise.then(() => (done = true));
  await turn();
  return done;
}

describe("BatchWriter", () => {
  it("puts what is pushed in one turn into one message, and what comes later into the next", async () => {
    const { stream, writer } = setUp();
    for (const id of [1, 2, 3]) assert.equal(writer.push({ id, bytes: 10 }), true);
    assert.deepEqual(stream.messages, []);
    await turn();
    writer.push({ id: 4, bytes: 10 });
    await turn();
    assert.deepEqual(stream.messages, [[1, 2, 3], [4]]);
  });

  it("closes a message at 64 items", async () => {
    const { stream, writer } = setUp();
    for (const id of range(0, 2 * maxPartsPerMessage + 1)) writer.push({ id, bytes: 1 });
    await turn();
    assert.deepEqual(stream.messages, [range(0, 64), range(64, 128), [128]]);
  });

  it("closes a message at 256 KiB, and lets a larger item go alone", async () => {
    const { stream, writer } = setUp();
    const half = batchTargetBytes / 2;
    for (const [id, bytes] of [half, half, 1, 2 * batchTargetBytes, 1].entries()) writer.push({ id, bytes });
    await turn();
    assert.deepEqual(stream.messages, [[0, 1], [2], [3], [4]]);
  });

  it("gives an item that must be alone a message of its own, in its place", async () => {
    const { stream, writer } = setUp();
    for (const id of range(0, 5)) writer.push({ id, bytes: 1, alone: id === 2 || id === 3 });
    await turn();
    assert.deepEqual(stream.messages, [[0, 1], [2], [3], [4]]);
  });

  it("asks its caller to wait at 256 KiB, until the turn's end", async () => {
    const { writer } = setUp();
    assert.equal(writer.push({ id: 1, bytes: batchTargetBytes - 1 }), true);
    assert.equal(writer.push({ id: 2, bytes: 1 }), false);
    assert.equal(writer.full, true);
    await writer.ready();
    assert.equal(writer.full, false);
  });

  it("writes nothing after the stream has said 'enough', until it drains", async () => {
    const { stream, writer } = setUp();
    stream.enough = true;
    for (const id of range(0, 100)) writer.push({ id, bytes: 1 });
    await turn();
    assert.deepEqual(stream.messages, [range(0, 64)]);
    assert.equal(writer.push({ id: 100, bytes: 1 }), false);
    const ready = writer.ready();
    assert.equal(await settled(ready), false);
    assert.equal(stream.messages.length, 1);
    stream.drain();
    await ready;
    assert.deepEqual(stream.messages.at(-1), range(64, 101));
  });

  it("goes on waiting when the stream says 'enough' again while it drains", async () => {
    const { stream, writer } = setUp();
    stream.enough = true;
    for (const id of range(0, 200)) writer.push({ id, bytes: 1 });
    await turn();
    const ready = writer.ready();
    stream.emit("drain");
    assert.equal(stream.messages.length, 2);
    assert.equal(await settled(ready), false);
    stream.drain();
    assert.equal(await settled(ready), true);
    assert.equal(stream.messages.flat().length, 200);
  });

  it("has no more messages wait in the stream than it may, and goes on with each that is sent", async () => {
    let maxUnsent = 2;
    const { stream, writer } = setUp(() => maxUnsent);
    for (const id of [1, 2, 3, 4, 5, 6]) writer.push({ id, bytes: batchTargetBytes, alone: true });
    await turn();
    assert.deepEqual(stream.messages, [[1], [2]]);
    assert.equal(await settled(writer.ready()), false);
    stream.send();
    assert.deepEqual(stream.messages, [[1], [2], [3]]);
    maxUnsent = 1;
    stream.send();
    assert.equal(stream.messages.length, 3);
    stream.send();
    assert.deepEqual(stream.messages.slice(3), [[4]]);
    stream.enough = true;
    stream.send();
    assert.equal(stream.messages.length, 4, "the stream has said 'enough'");
    stream.drain();
    assert.deepEqual(stream.messages.slice(4), [[5]]);
  });

  it("writes at once on flushNow, and not twice", async () => {
    const { stream, writer } = setUp();
    writer.push({ id: 1, bytes: 1 });
    writer.flushNow();
    assert.deepEqual(stream.messages, [[1]]);
    await turn();
    assert.deepEqual(stream.messages, [[1]]);
  });

  it("ends the stream after what is left", () => {
    const { stream, writer } = setUp();
    writer.push({ id: 1, bytes: 1 });
    writer.end();
    assert.deepEqual(stream.messages, [[1]]);
    assert.equal(stream.ended, true);
    assert.equal(writer.closed, true);
  });

  it("does not end a blocked stream before the rest is written", async () => {
    const { stream, writer } = setUp();
    stream.enough = true;
    for (const id of range(0, 70)) writer.push({ id, bytes: 1 });
    await turn();
    writer.end();
    assert.equal(stream.ended, false);
    writer.push({ id: 1000, bytes: 1 });
    stream.drain();
    assert.deepEqual(stream.messages.flat(), range(0, 70));
    assert.equal(stream.ended, true);
  });

  for (const event of ["close", "error", "cancelled"]) {
    it(`drops what is left and lets its callers go on '${event}'`, async () => {
      const { stream, writer } = setUp();
      stream.enough = true;
      for (const id of range(0, 70)) writer.push({ id, bytes: 1 });
      await turn();
      const waiting = Promise.all([writer.ready(), writer.ready()]);
      stream.emit(event, new Error("gone"));
      await waiting;
      assert.equal(writer.closed, true);
      assert.equal(writer.full, false);
      writer.push({ id: 99, bytes: 1 });
      stream.drain();
      await turn();
      assert.deepEqual(stream.messages.flat(), range(0, 64));
    });
  }
});
