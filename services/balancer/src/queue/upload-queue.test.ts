import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DiskFull } from "@bilancia/proto/lmdb/file-room";
import { eventually } from "@bilancia/proto/testing/eventually";
import fc from "fast-check";
import { findCollector } from "../collector.js";
import { Dispatcher } from "../dispatch/dispatcher.js";
import type { Delivery } from "../ports/outbox.js";
import { FakePool } from "../test-support/fake-pool.js";
import { FakeServer } from "../test-support/fake-server.js";
import { saved } from "../test-support/queue-bench.js";
import { queueContract } from "../test-support/queue-contract.js";
import { chunkAt, describeFile, openUpload, RecordingListener, sendFile } from "../test-support/queue-fixtures.js";
import { withTempFolder } from "../test-support/temp-folder.js";
import { openTestQueue, roomy, type TestQueueOptions } from "../test-support/test-queue.js";

const memoryQueue = (limits = roomy) => makeQueue({ limits, kept: false });
const embeddedQueue = (limits = roomy) => makeQueue({ limits });

async function makeQueue(options: TestQueueOptions) {
  const folder = await mkdtemp(path.join(tmpdir(), "bilancia-queue-"));
  const opened = await openTestQueue(folder, options);
  const stop = async () => {
    await opened.stop();
    assert.deepEqual(opened.damaged, []);
    // Spool files are removed in the background.
    await eventually("the folder to be removed", () =>
      rm(folder, { recursive: true, force: true }).then(
        () => true,
        () => false,
      ),
    );
  };
  return { ...opened, stop };
}

describe("the queue that survives restarts", () => {
  queueContract(embeddedQueue);

  it("knows an outcome at every moment, also before the ledger has it, however few it remembers", async () => {
    const { queue, ledger, stop } = await makeQueue({ maxFinishedInMemory: 1 });
    try {
      const sent = Array.from({ length: 20 }, () => sendFile(queue, describeFile(), new RecordingListener()));
      for (let delivery = queue.take(); delivery; delivery = queue.take()) {
        delivery.begin("storage-1");
        delivery.stored(saved);
      }
      const states = () => sent.map(({ requestNumber }) => queue.find({ requestNumber })?.state.kind);
      assert.deepEqual(states(), Array(20).fill("stored"));
      await eventually("the outcomes in the ledger", () =>
        sent.every((upload) => ledger.find(upload)?.state === "stored"),
      );
      assert.deepEqual(states(), Array(20).fill("stored"));
    } finally {
      await stop();
    }
  });

  it("forgets old uploads, also those behind one that came while the clock was years ahead", async () => {
    const realMs = 1_700_000_000_000;
    let nowMs = realMs + 10 * 365 * 86_400_000;
    const { queue, ledger, stop } = await makeQueue({ nowMs: () => nowMs, maxFinishedInMemory: 1 });
    try {
      const storeFiles = async (count: number) => {
        const sent = Array.from({ length: count }, () => sendFile(queue, describeFile(), new RecordingListener()));
        for (let delivery = queue.take(); delivery; delivery = queue.take()) {
          delivery.begin("storage-1");
          delivery.stored(saved);
        }
        await eventually("the outcomes in the ledger", () =>
          sent.every((upload) => ledger.find(upload)?.state === "stored"),
        );
        return sent;
      };
      const early = await storeFiles(1);
      nowMs = realMs;
      const old = await storeFiles(20);
      nowMs += 3_600_000;
      const young = await storeFiles(3);
      const known = (uploads: typeof old) => uploads.filter((upload) => ledger.find(upload)).length;
      await eventually("the old ones to be forgotten", () => {
        queue.sweep();
        return known(old) === 0;
      });
      assert.deepEqual([known(early), known(young)], [1, 3]);
    } finally {
      await stop();
    }
  });

  it("asks a client to come back in a moment whose file comes before its number could be reserved", async () => {
    const { queue, numbering, noted, stop } = await makeQueue({});
    try {
      for (let number = numbering.next(); number !== undefined; number = numbering.next());
      const description = describeFile();
      const listener = new RecordingListener();
      const opened = queue.open(description, listener);
      assert.ok(opened.kind === "rejected");
      const { reason, retryAfterMs } = opened.rejection;
      assert.equal(reason, "QUEUE_FULL");
      assert.ok(retryAfterMs !== undefined && retryAfterMs > 0);
      await eventually("a number", () => queue.open(description, listener).kind === "receiving");
      assert.equal(queue.find(description)?.requestNumber, 100_001n);
      assert.deepEqual(
        noted.filter(({ kind }) => kind === "fault"),
        [],
      );
    } finally {
      await stop();
    }
  });

  for (const ack of ["stored", "queued"] as const)
    it(`gives out every file of a line that is too long for the memory, and tells its client, who waits for ${ack}`, async () => {
      const { queue, spool, spooled, stop } = await makeQueue({});
      try {
        // More than stay in memory, and more bytes than the spool keeps there.
        const listener = new RecordingListener();
        const sent = Array.from({ length: 2_400 }, () => sendFile(queue, describeFile({ ack }), listener, 8_000));
        await eventually("the files to be safe", () => sent.every((key) => queue.find(key)?.state.kind === "queued"));
        const news = (kind: string) => listener.news.filter((one) => one.kind === kind).length;
        if (ack === "queued") await eventually("all of them to be acknowledged", () => news("queued") === sent.length);
        await eventually("most of the bytes to leave the memory", () => spool.memoryBytes < 7 * 1024 * 1024);
        assert.deepEqual(await spooled(), [], "small files have no files of their own");
        for (let delivery = queue.take(); delivery; delivery = queue.take()) {
          delivery.begin("storage-1");
          const { sizeBytes } = delivery;
          assert.equal(sizeBytes, 8_000);
          delivery.stored({ ...saved, sizeBytes });
        }
        assert.equal(news("stored"), sent.length);
      } finally {
        await stop();
      }
    });

  it("does not have all of a long line in memory when every attempt fails, and forgets none of them", async () => {
    const { queue, spool, stop } = await makeQueue({});
    try {
      const filesCount = 600;
      const sizeBytes = 60_000;
      const client = new RecordingListener();
      for (let file = 0; file < filesCount; file++) sendFile(queue, describeFile({ ack: "queued" }), client, sizeBytes);
      await eventually("they are queued", () => client.told.filter((told) => told === "queued").length === filesCount);
      await eventually("most of them to leave the memory", () => !spool.tight);
      let storedCount = 0;
      let mostBytes = 0;
      await eventually("each has failed once, and is stored then", () => {
        for (let taken = 0; taken < 8; taken++) {
          const delivery = queue.take();
          if (!delivery) break;
          const { failures, attempts } = delivery;
          assert.deepEqual([attempts.length, attempts[0]?.outcome], failures === 0 ? [0, undefined] : [1, "refused"]);
          delivery.begin("storage-1");
          if (failures === 0) delivery.requeue("refused", "the disk is full", 1_500);
          else storedCount += delivery.stored({ ...saved, sizeBytes }) ? 1 : 0;
        }
        mostBytes = Math.max(mostBytes, spool.memoryBytes);
        return storedCount === filesCount;
      });
      // What fails while the ledger records what failed before is there besides.
      assert.ok(mostBytes < (filesCount * sizeBytes) / 2, `${mostBytes} bytes were in memory`);
      await eventually("all are told", () => client.told.filter((told) => told === "stored").length === filesCount);
    } finally {
      await stop();
    }
  });

  it("forgets no attempt that failed while the bytes of its file were being put on disk for want of memory", async () => {
    const { queue, ledger, stop } = await makeQueue({});
    try {
      const sent = Array.from({ length: 1_000 }, () => sendFile(queue, describeFile(), new RecordingListener(), 8_000));
      const taken = sent.map(() => queue.take());
      for (const delivery of taken) {
        delivery?.begin("storage-1");
        delivery?.requeue("lost", "the connection broke", 0);
      }
      const last = sent.at(-1) as (typeof sent)[0];
      await eventually("the last of them to be on disk", () => ledger.bytes(last.requestNumber) !== undefined);
      for (const { requestNumber } of sent) {
        const delivery = queue.take();
        assert.deepEqual([delivery?.requestNumber, delivery?.failures], [requestNumber, 1]);
      }
    } finally {
      await stop();
    }
  });

  it("loads no more of a long line than is under way while no attempt can be recorded, and goes on once it can", async () => {
    const filesCount = 200;
    const sizeBytes = 60_000;
    const atOnceCount = 8;
    await withTempFolder(async (folder) => {
      const before = await openTestQueue(folder);
      const listener = new RecordingListener();
      const sent = Array.from({ length: filesCount }, () =>
        sendFile(before.queue, describeFile({ ack: "queued" }), listener, sizeBytes),
      );
      await eventually("all files are queued", () => listener.news.length === filesCount);
      await before.stop();
      const { queue, ledger, spool, numbering, stop } = await openTestQueue(folder);
      const put = ledger.put.bind(ledger);
      let isFull = true;
      const refused: bigint[] = [];
      let mostBytes = 0;
      ledger.put = (entry, ...rest) => {
        if (!isFull || entry.intents.length === 0) return put(entry, ...rest);
        refused.push(entry.requestNumber);
        mostBytes = Math.max(mostBytes, spool.memoryBytes);
        return Promise.reject(new DiskFull());
      };
      for (const { requestNumber } of sent.slice(filesCount / 2))
        queue.pending.claim("storage-1", requestNumber, () => true);
      const pool = new FakePool([new FakeServer("storage-1", 1)], atOnceCount);
      const dispatcher = new Dispatcher({
        ...{ outbox: queue, pool: pool.asPool, ledger: numbering },
        clock: { nowMs: Date.now, random: Math.random },
        observer: { note: () => {} },
        retry: { maxAttempts: 1, deadlineMs: 60_000, baseDelayMs: 0, maxDelayMs: 0, answerTimeoutMs: 60_000 },
      });
      dispatcher.start();
      try {
        await eventually("it was tried three times", () => refused.length > 2 * atOnceCount);
        assert.equal(mostBytes, atOnceCount * sizeBytes);
        assert.equal(new Set(refused).size, atOnceCount);
        // Also where that one is gone whose attempt could not be recorded.
        void queue.cancel({ requestNumber: refused[0] ?? 0n });
        isFull = false;
        await eventually("the others are stored", () => queue.counts().storedFiles === filesCount - 1, 10_000);
      } finally {
        await dispatcher.stop(0);
        await stop();
      }
    });
  });

  it("begins anew what is sent again at once after it was given up, before the ledger has that", async () => {
    const { queue, stop } = await makeQueue({});
    try {
      const description = describeFile();
      const { requestNumber } = sendFile(queue, description, new RecordingListener(), 0);
      const delivery = queue.take();
      delivery?.begin("storage-1");
      await delivery?.intend();
      delivery?.reject("busy", { reason: "DEADLINE_EXCEEDED", message: "gave up" });
      const again = sendFile(queue, description, new RecordingListener(), 0);
      assert.ok(again.requestNumber > requestNumber);
      assert.equal(queue.take()?.requestNumber, again.requestNumber);
    } finally {
      await stop();
    }
  });
});

describe("the queue in memory", () => {
  queueContract(memoryQueue);

  it("puts small files on disk where memory is tight, and gives all of them out", async () => {
    const { queue, spool, spooled, stop } = await memoryQueue();
    try {
      for (let sent = 0; sent < 1_200; sent++) sendFile(queue, describeFile(), new RecordingListener(), 8_000);
      await eventually("bytes to leave the memory", () => spool.memoryBytes < 7 * 1024 * 1024);
      assert.ok((await spooled()).length > 0);
      let takenCount = 0;
      for (let delivery = queue.take(); delivery; delivery = queue.take()) {
        assert.equal((await delivery.whole(8_000))?.data.length, 8_000);
        delivery.begin("storage-1");
        delivery.stored(saved);
        takenCount += 1;
      }
      assert.equal(takenCount, 1_200);
    } finally {
      await stop();
    }
  });

  it("holds nothing any more of uploads that have ended: no memory, no file", async () => {
    const { queue, spool, spooled, stop } = await memoryQueue();
    try {
      const description = describeFile();
      sendFile(queue, describeFile(), new RecordingListener(), 3_000_000);
      sendFile(queue, description, new RecordingListener(), 1_000);
      openUpload(queue, describeFile(), new RecordingListener()).reject({ reason: "INTERNAL", message: "test" });
      const delivery = queue.take();
      delivery?.begin("storage-1");
      delivery?.stored(saved);
      void queue.cancel({ uploadId: description.uploadId });
      await eventually("no spool file", async () => (await spooled()).length === 0);
      assert.equal(spool.memoryBytes, 0);
      assert.equal(queue.counts().queuedBytes, 0);
    } finally {
      await stop();
    }
  });

  it("keeps the bytes of an upload that has ended no longer in memory, though it still answers for it", async () => {
    const { queue, stop } = await memoryQueue();
    const collect = findCollector();
    /** Sends a file, has it delivered in some way, and returns what tells whether its bytes are in memory, and its receipt. */
    const delivered = async (deliver: (delivery: Delivery) => unknown) => {
      const chunk = chunkAt(0, 400_000);
      const description = describeFile();
      const upload = openUpload(queue, description, new RecordingListener());
      upload.append(chunk);
      upload.complete({});
      const delivery = queue.take();
      assert.ok(delivery);
      delivery.begin("storage-1");
      await deliver(delivery);
      delivery.stored({ ...saved, sha256: Buffer.alloc(100_000).subarray(0, 32) });
      return { bytes: new WeakRef(chunk.data), description };
    };
    try {
      const sent = [
        await delivered((delivery) => delivery.whole(512 * 1024)),
        await delivered((delivery) => delivery.read().next()),
        await delivered(() => {}),
      ];
      // What a turn of the event loop has looked at stays in memory until its end.
      await new Promise((resolve) => setImmediate(resolve));
      collect();
      for (const { bytes, description } of sent) {
        assert.ok(bytes.deref() === undefined, "they are in memory");
        const state = queue.find({ uploadId: description.uploadId })?.state;
        assert.ok(state?.kind === "stored");
        assert.equal(state.receipt.sha256.buffer.byteLength, 32);
      }
    } finally {
      await stop();
    }
  });

  it("gives out every small upload, however many are waiting", async () => {
    const { queue, stop } = await memoryQueue();
    try {
      const files = 2_100;
      for (let file = 0; file < files; file++)
        sendFile(queue, describeFile({ ack: "queued" }), new RecordingListener());
      let taken = 0;
      while (queue.take()) taken++;
      assert.equal(taken, files);
    } finally {
      await stop();
    }
  });

  // Every step is one thing that a client, dispatch or an operator can do to one of five uploads.
  const step = fc.record({
    upload: fc.nat(4),
    action: fc.constantFrom(
      "append",
      "append large",
      "complete",
      "leave",
      "reopen",
      "cancel",
      "take",
      "save",
      "requeue",
      "release",
    ),
  });

  it("agrees with a simple model under any order of events, and ends empty (property)", async () => {
    const run = fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const { queue, spool, stop } = await memoryQueue();
      try {
        const uploads = Array.from({ length: 5 }, () => ({
          description: describeFile(),
          listener: new RecordingListener(),
          bytes: 0,
          hears: true,
          state: "none" as "none" | "open" | "left" | "complete" | "stored" | "cancelled",
          incoming: undefined as ReturnType<typeof openUpload> | undefined,
          delivery: undefined as Delivery | undefined,
        }));
        for (const { upload: index, action } of steps) {
          const model = uploads[index] as (typeof uploads)[number];
          const { description, listener } = model;
          const arriving = model.state === "open";
          if (action.startsWith("append") && arriving) {
            const length = action === "append" ? 1_000 : 200_000;
            model.incoming?.append(chunkAt(model.bytes, length));
            model.bytes += length;
          } else if (action === "complete" && arriving) {
            model.incoming?.complete({ sizeBytes: model.bytes });
            model.state = "complete";
          } else if (action === "leave" && arriving && model.incoming) {
            queue.leave(model.incoming.requestNumber, listener);
            model.state = "left";
          } else if (action === "reopen" && (model.state === "none" || model.state === "left")) {
            model.incoming = openUpload(queue, description, listener);
            assert.equal(model.incoming.receivedBytes, model.bytes);
            model.state = "open";
          } else if (action === "cancel" && ["open", "left", "complete"].includes(model.state)) {
            void queue.cancel({ uploadId: description.uploadId });
            // Who has left is told nothing more.
            model.hears = model.state !== "left";
            model.state = "cancelled";
          } else if (action === "take") {
            const delivery = queue.take();
            if (!delivery) continue;
            const mine = uploads.find(({ incoming }) => incoming?.requestNumber === delivery.requestNumber);
            assert.ok(mine && (mine.state === "complete" || (mine.state === "open" && mine.bytes > 256 * 1024)));
            assert.equal(mine.delivery, undefined, "given out twice");
            delivery.begin("storage-1");
            mine.delivery = delivery;
          } else if (model.delivery) {
            const { delivery } = model;
            if (action === "save" && model.state === "complete") {
              delivery.stored(saved);
              model.state = "stored";
            } else if (action === "requeue") delivery.requeue("busy", "busy", 0);
            else if (action === "release") delivery.release(0);
            else continue;
            model.delivery = undefined;
          }
        }
        // Whatever happened, everybody can finish, and everybody hears of it exactly once.
        for (const model of uploads) {
          model.delivery?.release(0);
          if (model.state === "none" || model.state === "left") {
            model.incoming = openUpload(queue, model.description, model.listener);
            model.state = "open";
          }
          if (model.state === "open") model.incoming?.complete({ sizeBytes: model.bytes });
        }
        for (let delivery = queue.take(); delivery; delivery = queue.take()) {
          delivery.begin("storage-1");
          delivery.stored(saved);
        }
        for (const { state, hears, listener } of uploads) {
          const last = state === "cancelled" ? "rejected CANCELLED" : "stored";
          assert.deepEqual(listener.told, hears ? [last] : []);
        }
        const counts = queue.counts();
        assert.equal(counts.receivingFiles + counts.queuedFiles + counts.dispatchingFiles + counts.queuedBytes, 0);
        assert.equal(counts.storedFiles + counts.rejectedFiles, 5);
        assert.equal(spool.memoryBytes, 0);
      } finally {
        await stop();
      }
    });
    await fc.assert(run, { numRuns: 60 });
  });
});
