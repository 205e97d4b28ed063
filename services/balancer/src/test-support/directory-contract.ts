import assert from "node:assert/strict";
import type { SettledUpload } from "../ports/outbox.js";
import { large, type QueueBench, saved, type TestedQueue } from "./queue-bench.js";
import { chunkAt, describeFile, openUpload, RecordingListener, readOut, sendFile } from "./queue-fixtures.js";

/** What every `UploadDirectory` must do: what is found, counted, cancelled. */
export function directoryContract(bench: QueueBench): void {
  const { take, store, cancelReason } = bench;
  let queue: TestedQueue;
  beforeEach(() => {
    queue = bench.queue;
  });

  describe("cancelling", () => {
    it("says that a server's answer has come too late, when the upload has been given up meanwhile", () => {
      const description = describeFile();
      sendFile(queue, description, new RecordingListener());
      const delivery = queue.take();
      delivery?.begin("storage-1");
      assert.equal(cancelReason(description.uploadId), undefined);
      assert.equal(delivery?.stored(saved), false);
    });

    it("drops an upload that is arriving, waiting, or under way without its last bytes; again is no error", async () => {
      const arriving = describeFile();
      const listener = new RecordingListener();
      openUpload(queue, arriving, listener).append(chunkAt(0, 100));
      assert.equal(cancelReason(arriving.uploadId), undefined);
      assert.equal(cancelReason(arriving.uploadId), undefined);
      assert.deepEqual(listener.told, ["rejected CANCELLED"]);

      const waiting = describeFile();
      sendFile(queue, waiting, listener);
      assert.equal(cancelReason(waiting.uploadId), undefined);
      assert.equal(queue.take(), undefined);

      const underway = describeFile();
      openUpload(queue, underway, listener).append(chunkAt(0, large));
      const delivery = take();
      delivery.begin("storage-1");
      const reading = readOut(delivery.read());
      assert.equal(cancelReason(underway.uploadId), undefined);
      assert.equal((await reading).end, "broken");
      delivery.release(0);
      assert.equal(queue.take(), undefined);
      assert.deepEqual(listener.told, Array(3).fill("rejected CANCELLED"));
    });

    it("refuses once the last bytes are on the way, and allows it again after that attempt has failed", async () => {
      const description = describeFile();
      sendFile(queue, description, new RecordingListener());
      const delivery = take();
      delivery.begin("storage-1");
      await delivery.intend();
      assert.equal(cancelReason(description.uploadId), "NOT_CANCELLABLE");
      delivery.requeue("refused", "disk full", 0);
      assert.equal(cancelReason(description.uploadId), undefined);
    });

    it("refuses what is stored, and what nobody knows", () => {
      const description = describeFile();
      sendFile(queue, description, new RecordingListener());
      store(take());
      assert.equal(cancelReason(description.uploadId), "NOT_CANCELLABLE");
      assert.equal(cancelReason(describeFile().uploadId), "UNKNOWN_UPLOAD");
    });
  });

  describe("looking in", () => {
    it("finds an upload by either name, in every state", () => {
      const description = describeFile();
      const upload = openUpload(queue, description, new RecordingListener());
      const { requestNumber } = upload;
      const states = () => {
        const byId = queue.find({ uploadId: description.uploadId });
        assert.equal(byId, queue.find({ requestNumber }));
        return byId?.state.kind;
      };
      assert.equal(states(), "receiving");
      upload.append(chunkAt(0, 5));
      upload.complete({});
      assert.equal(states(), "queued");
      const delivery = take();
      assert.equal(states(), "dispatching");
      store(delivery);
      assert.equal(states(), "stored");
      assert.equal(queue.find({ uploadId: describeFile().uploadId }), undefined);
      assert.equal(queue.find({ requestNumber: 10n ** 18n }), undefined);
    });

    it("counts", () => {
      openUpload(queue, describeFile(), new RecordingListener()).append(chunkAt(0, 7));
      for (const _ of [1, 2, 3]) sendFile(queue, describeFile(), new RecordingListener());
      openUpload(queue, describeFile(), new RecordingListener()).reject({ reason: "TOO_LARGE", message: "too large" });
      store(take());
      take();
      const { lastRequestNumber, ...counts } = queue.counts();
      assert.ok(lastRequestNumber >= 5n);
      assert.deepEqual(counts, {
        receivingFiles: 1,
        queuedFiles: 1,
        dispatchingFiles: 1,
        queuedBytes: 17,
        storedFiles: 1,
        storedBytes: 5,
        rejectedFiles: 1,
      });
    });

    it("tells dispatch of every end, and where the file is", () => {
      const settled: SettledUpload[] = [];
      queue.onSettled((upload) => settled.push(upload));
      const first = sendFile(queue, describeFile(), new RecordingListener());
      store(take(), "storage-2");
      const second = sendFile(queue, describeFile(), new RecordingListener());
      const delivery = take();
      delivery.begin("storage-1");
      delivery.reject("lost", { reason: "ATTEMPTS_EXHAUSTED", message: "gave up" });
      assert.deepEqual(settled, [
        { requestNumber: first.requestNumber, server: "storage-2", mark: { lastOther: { term: 1, attempt: 0 } } },
        { requestNumber: second.requestNumber, server: undefined, mark: { lastOther: { term: 1, attempt: 1 } } },
      ]);
    });
  });
}
