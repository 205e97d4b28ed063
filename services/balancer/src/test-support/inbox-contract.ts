import assert from "node:assert/strict";
import type { QueueBench, TestedQueue } from "./queue-bench.js";
import { chunkAt, describeFile, openUpload, RecordingListener, readOut, sendFile } from "./queue-fixtures.js";
import { roomy } from "./test-queue.js";

/** What every `Inbox` must do: what is let in, resumed, refused. */
export function inboxContract(bench: QueueBench): void {
  const { take, store } = bench;
  let queue: TestedQueue;
  beforeEach(() => {
    queue = bench.queue;
  });

  describe("coming again with the same id", () => {
    it("resumes from the bytes that are there", async () => {
      const description = describeFile();
      const first = new RecordingListener();
      const before = openUpload(queue, description, first);
      before.append(chunkAt(0, 1_000));
      queue.leave(before.requestNumber, first);
      assert.equal(queue.find({ uploadId: description.uploadId })?.persistedBytes, 1_000);
      const second = new RecordingListener();
      const upload = openUpload(queue, description, second);
      assert.equal(upload.receivedBytes, 1_000);
      assert.equal(upload.requestNumber, before.requestNumber);
      upload.append(chunkAt(1_000, 500));
      upload.complete({});
      assert.equal((await readOut(take().read())).sizeBytes, 1_500);
      assert.deepEqual(first.told, []);
    });

    it("holds an upload to the size and the digest that came only when it was resumed", () => {
      const description = describeFile();
      const resumed = (added: Partial<typeof description>) => {
        const upload = openUpload(queue, { ...description, ...added }, listener);
        upload.append(chunkAt(upload.receivedBytes, 500));
        return upload;
      };
      const listener = new RecordingListener();
      resumed({});
      const sha256 = new Uint8Array(32).fill(7);
      const upload = resumed({ sizeBytes: 1_500, sha256 });
      assert.deepEqual(resumed({}).receivedBytes, 1_500);
      upload.complete({});
      const delivery = take();
      assert.deepEqual([delivery.sizeBytes, delivery.sha256], [1_500, sha256]);
      assert.deepEqual(listener.told, []);
    });

    it("rejects an upload that is longer than was said when it was resumed", () => {
      const description = describeFile();
      const listener = new RecordingListener();
      openUpload(queue, description, listener).append(chunkAt(0, 1_000));
      openUpload(queue, { ...description, sizeBytes: 1_500 }, listener).append(chunkAt(1_000, 1_000));
      assert.deepEqual(listener.told, ["rejected SIZE_MISMATCH"]);
    });

    it("refuses to resume an upload as another file than it was said to be when it was last resumed", () => {
      const description = describeFile();
      const listener = new RecordingListener();
      openUpload(queue, description, listener).append(chunkAt(0, 1_000));
      openUpload(queue, { ...description, sizeBytes: 1_500 }, listener);
      const opened = queue.open({ ...description, sizeBytes: 2_000 }, listener);
      assert.equal(opened.kind === "rejected" && opened.rejection.reason, "UPLOAD_ID_CONFLICT");
    });

    it("lets the newer connection take over; what the older one still sends is ignored", async () => {
      const description = describeFile();
      const [older, newer] = [new RecordingListener(), new RecordingListener()];
      const stale = openUpload(queue, description, older);
      stale.append(chunkAt(0, 100));
      const upload = openUpload(queue, description, newer);
      assert.deepEqual(older.told, ["rejected SUPERSEDED"]);
      stale.append(chunkAt(100, 100));
      stale.complete({});
      stale.reject({ reason: "CHECKSUM_MISMATCH", message: "too late" });
      assert.equal(upload.receivedBytes, 100);
      upload.append(chunkAt(100, 50));
      upload.complete({});
      const delivery = take();
      assert.equal((await readOut(delivery.read())).sizeBytes, 150);
      store(delivery);
      assert.deepEqual(newer.told, ["stored"]);
      assert.deepEqual(older.told, ["rejected SUPERSEDED"]);
    });

    it("gives a hundred of the same id the same receipt, before and after it is stored", () => {
      const description = describeFile();
      const { requestNumber } = sendFile(queue, description, new RecordingListener());
      const waiting = Array.from({ length: 50 }, () => new RecordingListener());
      for (const listener of waiting) {
        assert.deepEqual(queue.open(description, listener), { kind: "known", requestNumber, told: false });
      }
      store(take());
      const late = Array.from({ length: 50 }, () => new RecordingListener());
      for (const listener of late) {
        assert.deepEqual(queue.open(description, listener), { kind: "known", requestNumber, told: true });
      }
      const receipts = [...waiting, ...late].map(({ news }) => {
        assert.equal(news.length, 1);
        return news[0]?.kind === "stored" ? news[0].receipt : undefined;
      });
      for (const receipt of receipts) assert.deepEqual(receipt, receipts[0]);
      assert.equal(receipts[0]?.requestNumber, requestNumber);
      assert.equal(queue.take(), undefined);
    });

    it("tells nothing more to a listener that has left", () => {
      const listener = new RecordingListener();
      const { requestNumber } = sendFile(queue, describeFile(), listener);
      queue.leave(requestNumber, listener);
      store(take());
      assert.deepEqual(listener.told, []);
    });

    it("leaves an upload the priority that it had, when it is sent again with another", () => {
      const description = describeFile({ priority: "low" });
      sendFile(queue, description, new RecordingListener());
      const opened = queue.open({ ...description, priority: "high" }, new RecordingListener());
      assert.equal(opened.kind, "known");
      assert.equal(take().description.priority, "low");
    });

    it("refuses another file under the same id, and leaves the first one in peace", () => {
      const listener = new RecordingListener();
      const description = describeFile({ sizeBytes: 5 });
      sendFile(queue, description, listener);
      for (const other of [{ name: "b.bin" }, { sizeBytes: 6 }, { kind: "text_document" as const }]) {
        const opened = queue.open({ ...description, ...other }, new RecordingListener());
        assert.ok(opened.kind === "rejected");
        assert.equal(opened.rejection.reason, "UPLOAD_ID_CONFLICT");
        assert.match(opened.rejection.message, new RegExp(description.uploadId));
      }
      store(take());
      assert.deepEqual(listener.told, ["stored"]);
    });
  });

  describe("what contradicts itself", () => {
    const cases: [
      string,
      Parameters<typeof describeFile>[0],
      Parameters<ReturnType<typeof sendFile>["complete"]>[0],
    ][] = [
      ["SIZE_MISMATCH", { sizeBytes: 6 }, {}],
      ["SIZE_MISMATCH", {}, { sizeBytes: 4 }],
      ["SIZE_MISMATCH", { sizeBytes: 5 }, { sizeBytes: 6 }],
      ["SIZE_MISMATCH", { sizeBytes: 4 }, {}],
      ["DIGEST_MISMATCH", { sha256: new Uint8Array(32) }, { sha256: new Uint8Array(32).fill(1) }],
    ];
    for (const [reason, description, end] of cases) {
      it(`is rejected with ${reason}: ${Object.keys(description ?? {})} in the header, ${Object.keys(end)} at the end`, () => {
        const listener = new RecordingListener();
        const upload = openUpload(queue, describeFile(description), listener);
        upload.append(chunkAt(0, 5));
        upload.complete(end);
        assert.deepEqual(listener.told, [`rejected ${reason}`]);
        assert.equal(queue.take(), undefined);
      });
    }

    it("is rejected as soon as a file of unknown size grows too large", async () => {
      queue = await bench.begin({ ...roomy, maxFileBytes: 1_000 });
      const listener = new RecordingListener();
      const upload = openUpload(queue, describeFile(), listener);
      upload.append(chunkAt(0, 1_000));
      assert.deepEqual(listener.told, []);
      upload.append(chunkAt(1_000, 1));
      assert.deepEqual(listener.told, ["rejected TOO_LARGE"]);
    });

    it("keeps a final rejection, and tells it again to who comes again", () => {
      const description = describeFile();
      openUpload(queue, description, new RecordingListener()).reject({ reason: "TOO_LARGE", message: "too large" });
      const again = new RecordingListener();
      assert.equal(queue.open(description, again).kind, "known");
      assert.deepEqual(again.told, ["rejected TOO_LARGE"]);
    });

    it("frees the id after a retryable rejection: the same upload begins anew, under a new number", async () => {
      const description = describeFile();
      const before = openUpload(queue, description, new RecordingListener());
      before.append(chunkAt(0, 100));
      before.reject({ reason: "CHECKSUM_MISMATCH", message: "damaged" });
      const listener = new RecordingListener();
      const upload = openUpload(queue, description, listener);
      assert.equal(upload.receivedBytes, 0);
      assert.ok(upload.requestNumber > before.requestNumber);
      upload.append(chunkAt(0, 50));
      upload.complete({});
      assert.equal((await readOut(take().read())).sizeBytes, 50);
      assert.equal(queue.find({ requestNumber: before.requestNumber })?.state.kind, "dead");
      assert.equal(queue.find({ uploadId: description.uploadId })?.requestNumber, upload.requestNumber);
    });
  });

  describe("a full queue", () => {
    it("refuses before any byte, and lets in again once there is room", async () => {
      queue = await bench.begin({ ...roomy, maxFiles: 2 });
      for (const _ of [1, 2]) sendFile(queue, describeFile(), new RecordingListener());
      const opened = queue.open(describeFile(), new RecordingListener());
      assert.ok(opened.kind === "rejected");
      assert.equal(opened.rejection.reason, "QUEUE_FULL");
      assert.ok((opened.rejection.retryAfterMs ?? 0) > 0);
      store(take());
      assert.equal(queue.open(describeFile(), new RecordingListener()).kind, "receiving");
    });

    it("counts bytes that arrived and bytes that were announced", async () => {
      queue = await bench.begin({ ...roomy, maxBytes: 1_000 });
      sendFile(queue, describeFile(), new RecordingListener(), 600);
      const opened = queue.open(describeFile({ sizeBytes: 401 }), new RecordingListener());
      assert.equal(opened.kind === "rejected" && opened.rejection.reason, "QUEUE_FULL");
      assert.equal(queue.open(describeFile({ sizeBytes: 400 }), new RecordingListener()).kind, "receiving");
    });

    it("does not let in more bytes than it may hold when many are announced at a time", async () => {
      queue = await bench.begin({ ...roomy, maxBytes: 1_000_000 });
      const kinds = Array.from(
        { length: 10 },
        () => queue.open(describeFile({ sizeBytes: 300_000 }), new RecordingListener()).kind,
      );
      assert.deepEqual(kinds, [...Array(3).fill("receiving"), ...Array(7).fill("rejected")]);
    });

    describe("counts what was announced", () => {
      const listener = new RecordingListener();

      /** Whether so many bytes more would be let in, and no more than that. */
      function assertRoom(sizeBytes: number): void {
        const [fits, more] = [sizeBytes, sizeBytes + 1].map((size) => {
          const tried = queue.open(describeFile({ sizeBytes: size }), listener);
          if (tried.kind === "receiving") void queue.cancel(tried.upload);
          return tried.kind === "receiving";
        });
        assert.deepEqual([fits, more], [true, false], `room for ${sizeBytes} bytes`);
      }
      beforeEach(async () => {
        queue = await bench.begin({ ...roomy, maxBytes: 1_000, maxFileBytes: 2_000 });
      });

      it("for as long as its client is there to send it", () => {
        const description = describeFile({ sizeBytes: 600 });
        const first = openUpload(queue, description, listener);
        assertRoom(400);
        first.append(chunkAt(0, 200));
        assertRoom(400);
        queue.leave(first.requestNumber, listener);
        assertRoom(800);
        openUpload(queue, description, listener);
        assertRoom(400);
        const upload = openUpload(queue, description, new RecordingListener());
        assertRoom(400);
        upload.append(chunkAt(200, 400));
        assertRoom(400);
        upload.complete({});
        assertRoom(400);
        store(take());
        assertRoom(1_000);
      });

      it("until the upload is cancelled or rejected", () => {
        void queue.cancel(openUpload(queue, describeFile({ sizeBytes: 600 }), listener));
        assertRoom(1_000);
        openUpload(queue, describeFile({ sizeBytes: 600 }), listener).append(chunkAt(0, 601));
        assertRoom(1_000);
        openUpload(queue, describeFile({ sizeBytes: 600 }), listener).complete({});
        assertRoom(1_000);
      });

      it("when that came only with the resuming header", () => {
        const description = describeFile();
        openUpload(queue, description, listener).append(chunkAt(0, 300));
        assertRoom(700);
        openUpload(queue, { ...description, sizeBytes: 500 }, listener);
        assertRoom(500);
      });

      it("and not what is too large for it, also when a resuming header says so", () => {
        const description = describeFile();
        openUpload(queue, description, listener).append(chunkAt(0, 300));
        const resuming = new RecordingListener();
        assert.equal(queue.open({ ...description, sizeBytes: 2_001 }, resuming).kind, "known");
        assert.deepEqual(resuming.told, ["rejected TOO_LARGE"]);
        assertRoom(1_000);
      });
    });
  });
}
