import assert from "node:assert/strict";
import { eventually } from "../test-support/eventually.js";
import type { FakeStorage } from "../test-support/fake-storage.js";
import { PoolFixture } from "../test-support/pool-fixture.js";
import { chunkAt, describeFile, openUpload, RecordingListener } from "../test-support/queue-fixtures.js";
import { withTempFolder } from "../test-support/temp-folder.js";
import { openTestQueue } from "../test-support/test-queue.js";
import { Dispatcher } from "./dispatcher.js";

const filesCount = 2_400;
const filesPerSecond = 400;
const clock = { nowMs: Date.now, random: Math.random };

/** Sends so many small files, and says how the servers spent the time until all were stored. */
async function drain(fixture: PoolFixture, flap: (storage: FakeStorage) => void) {
  return withTempFolder(async (folder) => {
    const { queue, stop } = await openTestQueue(folder, { kept: false });
    const dispatcher = new Dispatcher({
      outbox: queue,
      pool: fixture.pool,
      ledger: { origin: "0".repeat(32), term: 1 },
      retry: { maxAttempts: 5, deadlineMs: 60_000, baseDelayMs: 1, maxDelayMs: 10, answerTimeoutMs: 60_000 },
      clock,
      observer: { note: () => {} },
    });
    const listener = new RecordingListener();
    const chunk = chunkAt(0, 100);
    dispatcher.start();
    const before = fixture.storages.map(({ done }) => ({ ...done }));
    flap(fixture.storages[2] as FakeStorage);
    for (let file = 0; file < filesCount; file++) {
      const upload = openUpload(queue, describeFile({ sizeBytes: 100 }), listener);
      upload.append(chunk);
      upload.complete({});
    }
    try {
      await eventually("all files are stored", () => queue.counts().storedFiles === filesCount, 60_000);
    } finally {
      await dispatcher.stop(0);
      await stop();
    }
    assert.ok(listener.told.every((word) => word === "stored"));
    return fixture.storages.map(({ done }, index) => ({
      files: done.files - (before[index]?.files ?? 0),
      availableMs: done.availableMs - (before[index]?.availableMs ?? 0),
      idleMs: done.idleMs - (before[index]?.idleMs ?? 0),
    }));
  });
}

describe("three servers, one of them overloaded half of the time", function () {
  this.timeout(120_000);

  /** The share of the time in which servers could have worked and had nothing to work on, and how many files each of them stored. */
  async function lostShare(adaptive: boolean): Promise<{ lost: number; files: number[] }> {
    const limits = { maxFiles: 1_024, maxBytes: 16 * 1024 * 1024, adaptive };
    const fixture = await PoolFixture.start([1, 1, 1], { limits }, { filesPerSecond });
    let flapping: NodeJS.Timeout | undefined;
    try {
      const spent = await drain(fixture, (storage) => {
        let overloaded = false;
        flapping = setInterval(() => {
          overloaded = !overloaded;
          storage.overloaded = overloaded;
        }, 500);
      });
      const sum = (key: "availableMs" | "idleMs") => spent.reduce((total, server) => total + server[key], 0);
      return { lost: sum("idleMs") / sum("availableMs"), files: spent.map(({ files }) => files) };
    } finally {
      clearInterval(flapping);
      fixture.stop();
    }
  }

  it("lose less of their time where it is learned how much each takes: no queue stands before the overloaded one in the end", async () => {
    const fixed = await lostShare(false);
    const adaptive = await lostShare(true);
    const words = JSON.stringify({ fixed, adaptive });
    assert.ok(adaptive.lost < 0.75 * fixed.lost, words);
    const [a = 0, b = 0, c = 0] = adaptive.files;
    assert.ok(c > 0 && c < Math.min(a, b), words);
  });
});
