import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { RefuseReason } from "@bilancia/proto/gen/storage";
import { eventually } from "@bilancia/proto/testing/eventually";
import { type FakeStorage, saved } from "../test-support/fake-storage.js";
import { PoolFixture, poolSettings } from "../test-support/pool-fixture.js";
import { describeFile, RecordingListener, sendFile } from "../test-support/queue-fixtures.js";
import { withTempFolder } from "../test-support/temp-folder.js";
import { openTestQueue, type TestQueue } from "../test-support/test-queue.js";
import { Dispatcher } from "./dispatcher.js";
import type { ServerPoolParts } from "./server-pool.js";

/** What a test has before it: two servers, a and b, that store what they are sent unless told otherwise, and a queue. */
interface System {
  readonly fixture: PoolFixture;
  readonly a: FakeStorage;
  readonly b: FakeStorage;
  readonly opened: TestQueue;
  readonly dispatcher: Dispatcher;
}

interface Options {
  readonly retry?: object;
  readonly pool?: Partial<ServerPoolParts>;
  readonly nowMs?: () => number;
}

const busyForAMinute = { $case: "busy", value: { retryAfter: { seconds: 60n, nanos: 0 } } } as const;
const diskFull = {
  $case: "refused",
  value: { reason: RefuseReason.REFUSE_REASON_NO_SPACE, message: "the disk is full" },
} as const;

function withSystem(work: (system: System) => Promise<void>, options: Options = {}): Promise<void> {
  return withTempFolder(async (folder) => {
    const clock = { nowMs: options.nowMs ?? Date.now, random: Math.random };
    const fixture = await PoolFixture.start([1, 1], { clock, ...options.pool });
    const [a, b] = fixture.storages as [FakeStorage, FakeStorage];
    a.answer = b.answer = saved;
    const opened = await openTestQueue(folder, { nowMs: clock.nowMs });
    const retry = { maxAttempts: 10, deadlineMs: 60_000, baseDelayMs: 1, maxDelayMs: 5, answerTimeoutMs: 60_000 };
    const dispatcher = new Dispatcher({
      outbox: opened.queue,
      pool: fixture.pool,
      ledger: opened.numbering,
      retry: { ...retry, ...options.retry },
      clock,
      observer: { note: (occurrence) => fixture.occurrences.push(occurrence) },
    });
    dispatcher.start();
    try {
      await work({ fixture, a, b, opened, dispatcher });
    } finally {
      await dispatcher.stop(0);
      await opened.stop();
      fixture.stop();
    }
  });
}

/** Sends a small file; whoever waits for it is returned. */
function send({ opened }: System, description = describeFile()): RecordingListener {
  const listener = new RecordingListener();
  sendFile(opened.queue, description, listener);
  return listener;
}

const isTold = (listener: RecordingListener, what: string) =>
  eventually(`the client is told ${what}`, () => listener.told.join() === what);

describe("a file", function () {
  this.timeout(30_000);

  it("goes to another server when the one that may hold it says that it is busy", () =>
    withSystem(async (system) => {
      const { a, b } = system;
      a.answer = ({ attempt }) => (attempt === 1 ? "lost" : busyForAMinute);
      await isTold(send(system), "stored");
      assert.equal(b.sent.length, 1);
      assert.equal(a.sent.length, 2);
    }));

  it("goes to another server when the one that may hold it refuses it", () =>
    withSystem(async (system) => {
      const { a, b } = system;
      a.answer = ({ attempt }) => (attempt === 1 ? "lost" : diskFull);
      await isTold(send(system), "stored");
      assert.equal(b.sent.length, 1);
      assert.equal(a.sent.length, 2);
    }));

  it("goes to another server when the one that has stored it reports another SHA-256, and the copy there is discarded", () =>
    withSystem(async (system) => {
      const { a, b, dispatcher } = system;
      const sha256 = Buffer.alloc(32, 1);
      a.answer = (file) => saved(file, Buffer.alloc(32, 7));
      b.answer = (file) => saved(file, sha256);
      const listener = send(system, describeFile({ sha256 }));
      await isTold(listener, "stored");
      await eventually("the copy to be discarded", () => dispatcher.unsettledOn("a") === 0);
      assert.deepEqual([a.sent.length, b.sent.length], [1, 1]);
      assert.deepEqual([a.discards, b.discards], [[1n], []]);
    }));

  for (const [how, away] of [
    ["away", ({ b }: System) => b.stop()],
    ["drained", ({ fixture }: System) => fixture.pool.drain(fixture.server("b"), Date.now())],
    ["without its lease", ({ fixture }: System) => fixture.pool.lapse(fixture.server("b"), { sinceMs: 0, reason: "" })],
  ] as const)
    it(`goes to a server that has refused it once more while the others are ${how}`, () =>
      withSystem(async (system) => {
        const { fixture, a, b } = system;
        away(system);
        await fixture.becomes("b", /^(unhealthy|drained|lease-expired)/);
        a.answer = (file) => (file.attempt === 1 ? diskFull : saved(file));
        await isTold(send(system), "stored");
        assert.deepEqual([a.sent.length, b.sent.length], [2, 0]);
      }));

  it("is not given up while a server that has not refused it is away for a moment", () =>
    withSystem(
      async (system) => {
        const { fixture, a, b } = system;
        b.stop();
        await fixture.becomes("b", /^unhealthy/);
        a.answer = () => diskFull;
        const listener = send(system);
        await delay(500);
        assert.deepEqual([a.sent.length, listener.told], [1, []]);
        await b.start();
        await isTold(listener, "stored");
      },
      { retry: { maxDelayMs: 60_000 }, pool: { probe: { ...poolSettings.probe, intervalMs: 200 } } },
    ));

  it("waits for servers that have not refused it and are overloaded, not longer than it may take, and is a dead letter then", () =>
    withSystem(
      async (system) => {
        const { fixture, a, b, opened } = system;
        b.overloaded = true;
        await fixture.becomes("b", /^overloaded/);
        a.answer = () => diskFull;
        const listener = send(system, describeFile({ ack: "queued" }));
        await isTold(listener, "queued,rejected DEADLINE_EXCEEDED");
        assert.equal(a.sent.length, 1);
        const [letter] = await opened.queue.deadLetters.list(0n, 100);
        assert.match(
          letter?.rejection.message ?? "",
          /^not delivered within 700 ms; last: no server is available that has/,
        );
      },
      { retry: { deadlineMs: 700 } },
    ));

  it("goes to another server when the one that has it says that it stops, and then nothing more", () =>
    withSystem(
      async (system) => {
        const { fixture, a } = system;
        a.answer = () => "never";
        const listener = send(system);
        a.serving = false;
        await fixture.becomes("a", /^unhealthy: health check says NOT_SERVING$/);
        assert.deepEqual(listener.told, []);
        a.frozen = true;
        await isTold(listener, "stored");
      },
      { pool: { probe: { ...poolSettings.probe, intervalMs: 200, timeoutMs: 500 } } },
    ));

  it("goes out again when it is not answered in time, also where the clock was set back meanwhile", () => {
    let nowMs = 1_000_000_000;
    return withSystem(
      async (system) => {
        system.a.answer = () => "never";
        const listener = send(system);
        await eventually("the file is on its way", () => system.a.sent.length === 1);
        nowMs -= 3_600_000;
        system.a.answer = saved;
        await isTold(listener, "stored");
      },
      { retry: { answerTimeoutMs: 300 }, nowMs: () => nowMs },
    );
  });

  it("that a server has claimed goes to others at once when that server is removed", () =>
    withSystem(async (system) => {
      const { fixture, a, b, opened } = system;
      for (const name of ["a", "b"]) fixture.pool.drain(fixture.server(name), Date.now());
      const listener = send(system);
      opened.queue.pending.claim("a", 1n, () => true);
      fixture.pool.enable(fixture.server("b"));
      assert.equal(b.sent.length, 0);
      fixture.pool.remove(fixture.server("a"));
      await isTold(listener, "stored");
      assert.deepEqual([a.sent.length, b.sent.length], [0, 1]);
    }));
});
