import assert from "node:assert/strict";
import { readdir, readlink, truncate } from "node:fs/promises";
import path from "node:path";
import { DiskFull } from "@bilancia/proto/lmdb/file-room";
import { eventually } from "@bilancia/proto/testing/eventually";
import type { BilanciaError } from "../domain/errors.js";
import type { Delivery } from "../ports/outbox.js";
import { saved } from "../test-support/queue-bench.js";
import { describeFile, openUpload, RecordingListener, readOut, sendFile } from "../test-support/queue-fixtures.js";
import { withTempFolder } from "../test-support/temp-folder.js";
import { openTestQueue, type TestQueueOptions } from "../test-support/test-queue.js";
import { SpoolFile } from "./spool-file.js";
import type { UploadQueue } from "./upload-queue.js";

const givenUp = { reason: "ATTEMPTS_EXHAUSTED", message: "not delivered after 10 attempts" } as const;

async function openQueue(folder: string, options: TestQueueOptions = {}) {
  const opened = await openTestQueue(folder, { maxFinishedInMemory: 10, ...options });
  const stop = async () => {
    await opened.stop();
    assert.deepEqual(opened.damaged, []);
  };
  return { ...opened, letters: opened.queue.deadLetters, stop };
}

type Opened = Awaited<ReturnType<typeof openQueue>>;

function take(queue: UploadQueue): Delivery {
  const delivery = queue.take();
  assert.ok(delivery, "expected something to deliver");
  return delivery;
}

/** Sends a file, lets two attempts fail, and gives it up. */
async function die({ queue }: Opened, sizeBytes = 5, description = describeFile({ ack: "queued" })): Promise<bigint> {
  const listener = new RecordingListener();
  const { requestNumber } = sendFile(queue, description, listener, sizeBytes);
  if (description.ack === "queued") await eventually("the upload to be kept", () => listener.told.length === 1);
  const first = take(queue);
  first.begin("storage-1");
  first.requeue("refused", "no", 0);
  const second = take(queue);
  second.begin("storage-2");
  second.reject("refused", givenUp);
  assert.equal(listener.rejection, "ATTEMPTS_EXHAUSTED");
  return requestNumber;
}

const numbers = async ({ letters }: Opened, after = 0n, limit = 100) =>
  (await letters.list(after, limit)).map(({ requestNumber }) => requestNumber);

const fails = (work: Promise<unknown>, reason: string, words: RegExp) =>
  assert.rejects(work, (error: BilanciaError) => {
    assert.equal(error.reason, reason);
    assert.match(error.message, words);
    return true;
  });

/** The files below a folder that this process has open. */
async function openFiles(folder: string): Promise<string[]> {
  const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ""));
  return (await Promise.all(links)).filter((file) => file.startsWith(folder));
}

async function withQueue(run: (opened: Opened, folder: string) => Promise<void>): Promise<void> {
  await withTempFolder(async (folder) => {
    const opened = await openQueue(folder);
    try {
      await run(opened, folder);
    } finally {
      await opened.stop();
    }
  });
}

const sizes: readonly (readonly [string, number])[] = [
  ["empty", 0],
  ["in the ledger", 5],
  ["in the spool's file", 3_000_000],
];

describe("dead letters", () => {
  it("are listed with what is known of them, in pages, in order", () =>
    withQueue(async (opened) => {
      const all = [await die(opened), await die(opened, 100_000), await die(opened)];
      assert.deepEqual(await numbers(opened), all);
      assert.deepEqual(await numbers(opened, 0n, 2), all.slice(0, 2));
      assert.deepEqual(await numbers(opened, all[1], 2), all.slice(2));
      assert.deepEqual(await numbers(opened, 2n ** 64n - 1n), []);
      const letter = await opened.letters.find(all[1] ?? 0n);
      assert.equal(letter.sizeBytes, 100_000);
      assert.deepEqual(letter.rejection, givenUp);
      assert.equal(letter.client, "test");
      assert.equal(letter.attemptCount, 2);
      assert.deepEqual(
        letter.attempts.map(({ number, server }) => [number, server]),
        [
          [1, "storage-1"],
          [2, "storage-2"],
        ],
      );
    }));

  for (const [where, sizeBytes] of sizes) {
    it(`survive a restart, can be read, and are retried under their number: ${where}`, () =>
      withTempFolder(async (folder) => {
        const before = await openQueue(folder);
        const requestNumber = await die(before, sizeBytes);
        assert.deepEqual(await numbers(before), [requestNumber]);
        await before.stop();
        const opened = await openQueue(folder);
        try {
          assert.equal(opened.queue.take(), undefined);
          assert.deepEqual(await numbers(opened), [requestNumber]);
          const { content } = await opened.letters.read(requestNumber);
          assert.deepEqual(await readOut(content), { sizeBytes, end: "end" });
          content.close();
          await opened.letters.retry(requestNumber);
          assert.deepEqual(await numbers(opened), []);
          const delivery = take(opened.queue);
          assert.equal(delivery.requestNumber, requestNumber);
          assert.equal(delivery.failures, 0);
          assert.deepEqual(await readOut(delivery.read()), { sizeBytes, end: "end" });
          assert.equal(delivery.begin("storage-3"), 3, "attempt numbers go on");
          delivery.stored({ ...saved, sizeBytes });
          assert.equal(opened.queue.find({ requestNumber })?.state.kind, "stored");
          await eventually("no spool file", async () => (await opened.spooled()).length === 0);
          assert.equal(opened.spool.memoryBytes, 0);
          assert.equal(opened.queue.counts().queuedBytes, 0);
        } finally {
          await opened.stop();
        }
      }));

    it(`are discarded for good, and stay known with the reason: ${where}`, () =>
      withTempFolder(async (folder) => {
        const description = describeFile({ ack: "queued" });
        const before = await openQueue(folder);
        const requestNumber = await die(before, sizeBytes, description);
        await before.letters.discard(requestNumber);
        assert.deepEqual(await numbers(before), []);
        assert.deepEqual(await before.spooled(), []);
        assert.equal(before.spool.memoryBytes, 0);
        await before.stop();
        const opened = await openQueue(folder);
        try {
          assert.deepEqual(await numbers(opened), []);
          for (const key of [{ requestNumber }, { uploadId: description.uploadId }]) {
            const state = opened.queue.find(key)?.state;
            assert.ok(state?.kind === "dead");
            assert.equal(state.rejection.reason, "ATTEMPTS_EXHAUSTED");
            assert.match(state.rejection.message, /after 10 attempts; discarded by an operator$/);
          }
          await fails(opened.letters.retry(requestNumber), "NOT_A_DEAD_LETTER", /its bytes are not kept/);
          const again = openUpload(opened.queue, description, new RecordingListener());
          assert.equal(again.requestNumber, requestNumber + 1n, "sent again, it begins anew");
          assert.equal(again.receivedBytes, 0);
        } finally {
          await opened.stop();
        }
      }));
  }

  it("have all bytes on disk, although the file was passed on while it arrived", () =>
    withQueue(async (opened) => {
      const requestNumber = await die(opened, 5_000_000, describeFile({ ack: "stored" }));
      assert.deepEqual(await numbers(opened), [requestNumber]);
      const { content } = await opened.letters.read(requestNumber);
      assert.deepEqual(await readOut(content), { sizeBytes: 5_000_000, end: "end" });
      content.close();
    }));

  it("whose bytes are damaged on disk stay given up, cannot be read, and can be discarded", () =>
    withTempFolder(async (folder) => {
      const description = describeFile({ ack: "queued" });
      const before = await openQueue(folder);
      const requestNumber = await die(before, 3_000_000, description);
      assert.deepEqual(await numbers(before), [requestNumber]);
      await before.stop();
      await truncate(path.join(folder, "spool", `${requestNumber}.part`), 1_000_000);
      const opened = await openQueue(folder);
      try {
        const { letters, queue } = opened;
        await fails(letters.read(requestNumber), "INTERNAL", /of the 3000000 bytes of upload 1 are left/);
        await fails(letters.retry(requestNumber), "NOT_A_DEAD_LETTER", /of 3000000 bytes are left on disk/);
        const listener = new RecordingListener();
        assert.equal(queue.open(description, listener).kind, "known");
        assert.equal(listener.rejection, "ATTEMPTS_EXHAUSTED");
        assert.equal(queue.take(), undefined);
        await letters.discard(requestNumber);
        assert.deepEqual(await opened.spooled(), []);
        assert.deepEqual(await numbers(opened), []);
      } finally {
        await opened.stop();
      }
    }));

  it("stay what they are, and not in memory, where the disk does not take that they are discarded", () =>
    withQueue(async (opened) => {
      const { letters, ledger, noted, spool } = opened;
      const requestNumber = await die(opened, 50_000);
      assert.deepEqual(await numbers(opened), [requestNumber]);
      const put = ledger.put.bind(ledger);
      ledger.put = () => Promise.reject(new DiskFull());
      await assert.rejects(letters.discard(requestNumber), DiskFull);
      ledger.put = put;
      assert.equal(spool.memoryBytes, 0);
      assert.equal((await letters.find(requestNumber)).rejection.message, givenUp.message);
      await letters.discard(requestNumber);
      assert.deepEqual(await numbers(opened), []);
      assert.equal(noted.filter(({ kind }) => kind === "dead-letter").length, 1);
    }));

  it("survive a restart after a retry, as queued uploads", () =>
    withTempFolder(async (folder) => {
      const before = await openQueue(folder);
      const requestNumber = await die(before, 100_000);
      await before.letters.retry(requestNumber);
      await before.stop();
      const opened = await openQueue(folder);
      try {
        assert.deepEqual(await numbers(opened), []);
        assert.equal(take(opened.queue).begin("storage-1"), 3);
      } finally {
        await opened.stop();
      }
    }));

  it("get the whole time for their delivery anew, and can die again", () =>
    withTempFolder(async (folder) => {
      let nowMs = 1_000;
      const opened = await openQueue(folder, { nowMs: () => nowMs });
      try {
        const requestNumber = await die(opened);
        nowMs = 90_000_000;
        await opened.letters.retry(requestNumber);
        const delivery = take(opened.queue);
        assert.equal(delivery.dueSinceMs, 90_000_000);
        delivery.begin("storage-1");
        delivery.reject("refused", givenUp);
        const [letter] = await opened.letters.list(0n, 10);
        assert.equal(letter?.requestNumber, requestNumber);
        assert.equal(letter?.attemptCount, 3);
        assert.equal(letter?.givenUpAtMs, 90_000_000);
        await opened.letters.discard(requestNumber);
        assert.deepEqual(await numbers(opened), []);
      } finally {
        await opened.stop();
      }
    }));

  for (const first of ["retry", "discard"] as const)
    it(`are retried once, or discarded, however many ask at the same time: ${first}`, () =>
      withQueue(async (opened) => {
        const { letters, noted } = opened;
        const requestNumber = await die(opened, 100_000);
        const asked = ([first, "retry", "discard"] as const).map((what) => letters[what](requestNumber));
        const [done, ...late] = await Promise.allSettled(asked);
        assert.equal(done?.status, "fulfilled");
        for (const result of late)
          assert.equal(result.status === "rejected" && result.reason.reason, "NOT_A_DEAD_LETTER");
        assert.deepEqual(await numbers(opened), []);
        if (first === "retry") {
          assert.deepEqual(await readOut(take(opened.queue).read()), { sizeBytes: 100_000, end: "end" });
        } else {
          assert.equal(opened.queue.take(), undefined);
          assert.deepEqual(await opened.spooled(), []);
        }
        assert.equal(noted.filter(({ kind }) => kind === "fault").length, 0);
      }));

  it("whose bytes the disk does not take are none: the ledger does not say that they are all there", () =>
    withTempFolder(async (folder) => {
      const before = await openQueue(folder);
      const { append } = SpoolFile.prototype;
      SpoolFile.prototype.append = async () => {
        throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
      };
      let requestNumber: bigint;
      try {
        requestNumber = await die(before, 5_000_000, describeFile({ ack: "stored" }));
        assert.deepEqual(await numbers(before), []);
      } finally {
        SpoolFile.prototype.append = append;
      }
      await fails(before.letters.retry(requestNumber), "NOT_A_DEAD_LETTER", /expected a dead letter/);
      await before.stop();
      const opened = await openQueue(folder);
      assert.deepEqual(await numbers(opened), []);
      assert.equal(opened.queue.find({ requestNumber })?.state.kind, "dead");
      await opened.stop();
    }));

  it("cannot be cancelled, which leaves nothing of them in memory: a client that sends one again has it retried", () =>
    withQueue(async (opened) => {
      const { queue, spool } = opened;
      const description = describeFile({ ack: "queued" });
      const requestNumber = await die(opened, 50_000, description);
      assert.deepEqual(await numbers(opened), [requestNumber]);
      for (const key of [{ requestNumber }, { uploadId: description.uploadId }])
        assert.throws(() => queue.cancel(key), { reason: "NOT_CANCELLABLE", message: "the upload is dead already" });
      assert.equal(spool.memoryBytes, 0);
      const again = new RecordingListener();
      assert.equal(queue.open(description, again).kind, "known");
      assert.deepEqual(again.told, ["queued"]);
      assert.equal(take(queue).requestNumber, requestNumber);
    }));

  it("stay where they are when the turn comes of a number that a claim has left in the line", () =>
    withQueue(async (opened) => {
      const { queue, spool } = opened;
      const listener = new RecordingListener();
      const { requestNumber } = sendFile(queue, describeFile({ ack: "queued" }), listener, 50_000);
      await eventually("the upload to be kept", () => listener.told.length === 1);
      assert.equal(queue.pending.claim("storage-1", requestNumber, () => true).kind, "claimed");
      const delivery = queue.takeClaimed("storage-1");
      delivery?.begin("storage-1");
      await delivery?.intend();
      delivery?.reject("lost", givenUp);
      assert.deepEqual(await numbers(opened), [requestNumber]);
      assert.equal(queue.take(), undefined);
      assert.equal(spool.memoryBytes, 0);
      assert.deepEqual(await numbers(opened), [requestNumber]);
      assert.deepEqual(
        [...opened.ledger.openAfter(0n)].map(({ state }) => state),
        ["suspected"],
        "the server may hold it",
      );
    }));

  it("are neither unknown uploads nor those that are queued, stored or cancelled", () =>
    withQueue(async (opened) => {
      const { queue, letters } = opened;
      await fails(letters.retry(99n), "UNKNOWN_UPLOAD", /no upload has the number 99/);
      const stored = sendFile(queue, describeFile(), new RecordingListener()).requestNumber;
      const delivery = take(queue);
      delivery.begin("storage-1");
      delivery.stored(saved);
      const queued = sendFile(queue, describeFile(), new RecordingListener()).requestNumber;
      const cancelled = sendFile(queue, describeFile({ ack: "queued" }), new RecordingListener()).requestNumber;
      void queue.cancel({ requestNumber: cancelled });
      for (const [requestNumber, words] of [
        [stored, /expected a dead letter; upload \d+ is stored on storage-1/],
        [queued, /is queued/],
        [cancelled, /is dead \(CANCELLED: .*\), and its bytes are not kept/],
      ] as const) {
        for (const ask of ["find", "retry", "discard", "read"] as const)
          await fails(letters[ask](requestNumber), "NOT_A_DEAD_LETTER", words);
      }
      assert.deepEqual(await numbers(opened), []);
    }));

  for (const [how, end] of [
    ["stops", (opened: Opened) => opened.stop()],
    ["dies", (opened: Opened) => opened.crash()],
  ] as const)
    it(`leave no file open when the balancer ${how} while one is laid down, and are not lost`, () =>
      withTempFolder(async (folder) => {
        const before = await openQueue(folder);
        const requestNumber = await die(before, 3_000_000);
        await end(before);
        assert.deepEqual(await openFiles(folder), []);
        const opened = await openQueue(folder);
        try {
          const isKept = (await numbers(opened)).includes(requestNumber);
          // Whoever died before he could write that down tries it again.
          assert.equal(isKept || opened.queue.take()?.requestNumber === requestNumber, true);
          if (how === "stops") assert.ok(isKept);
        } finally {
          await opened.stop();
        }
      }));

  it("do not exist in a queue in memory", () =>
    withTempFolder(async (folder) => {
      const opened = await openQueue(folder, { kept: false });
      try {
        const requestNumber = await die(opened);
        assert.deepEqual(await numbers(opened), []);
        await fails(opened.letters.retry(requestNumber), "NOT_A_DEAD_LETTER", /its bytes are not kept/);
      } finally {
        await opened.stop();
      }
    }));
});
