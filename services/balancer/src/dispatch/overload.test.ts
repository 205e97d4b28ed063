import assert from "node:assert/strict";
import { eventually } from "@bilancia/proto/testing/eventually";
import type { FakeStorage } from "../test-support/fake-storage.js";
import { PoolFixture } from "../test-support/pool-fixture.js";
import { chunkAt, describeFile, openUpload, RecordingListener } from "../test-support/queue-fixtures.js";
import { withTempFolder } from "../test-support/temp-folder.js";
import { openTestQueue } from "../test-support/test-queue.js";
import { Dispatcher } from "./dispatcher.js";

const filesCount = 5_000;
const filesPerSecond = 400;
const clock = { nowMs: Date.now, random: Math.random };

/** Sends so many small files, and says how many each server has stored once all are. */
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
    const before = fixture.storages.map(({ done }) => done.files);
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
    return fixture.storages.map(({ done }, index) => done.files - (before[index] ?? 0));
  });
}

describe("three servers, one of them overloaded half of the time", function () {
  this.timeout(120_000);

  /** How many files each of them stored. */
  async function stored(): Promise<number[]> {
    const limits = { maxFiles: 1_024, maxBytes: 16 * 1024 * 1024, adaptive: true };
    const fixture = await PoolFixture.start([1, 1, 1], { limits }, { filesPerSecond });
    let flapping: NodeJS.Timeout | undefined;
    try {
      return await drain(fixture, (storage) => {
        let overloaded = false;
        flapping = setInterval(() => {
          overloaded = !overloaded;
          storage.overloaded = overloaded;
        }, 500);
      });
    } finally {
      clearInterval(flapping);
      fixture.stop();
    }
  }

  it("share the files by what each can do, so that they end together", async () => {
    const files = await stored();
    const perSecond = [filesPerSecond, filesPerSecond, filesPerSecond / 2];
    // Not measured, for the machine has other work: how long each takes for its files at its speed, and all for theirs.
    const seconds = files.map((count, index) => count / (perSecond[index] ?? 1));
    const best = filesCount / perSecond.reduce((sum, one) => sum + one);
    assert.ok(Math.max(...seconds) < 1.08 * best, JSON.stringify({ files, seconds, best }));
  });
});
