import assert from "node:assert/strict";
import type { QueueLimits } from "../domain/admission.js";
import { BilanciaError } from "../domain/errors.js";
import type { Delivery, Inbox, Outbox, SettledUpload, UploadDirectory } from "../ports.js";
import { eventually } from "./eventually.js";
import {
  chunkAt,
  describeFile,
  openUpload,
  patterned,
  RecordingListener,
  readOut,
  sendFile,
} from "./queue-fixtures.js";

/** A queue to be tested, empty, and how to get rid of it. */
export interface QueueUnderTest {
  readonly queue: Inbox & Outbox & UploadDirectory;
  stop(): Promise<void>;
}

const saved = { storedName: "1_a.bin", sizeBytes: 5, sha256: new Uint8Array(32) };
const roomy: QueueLimits = { maxFiles: 10_000, maxBytes: 1e9, maxFileBytes: 1e8, minFreeDiskBytes: 0 };
const large = 300 * 1024;

/** What every implementation of `Inbox`, `Outbox` and `UploadDirectory` must do, whatever it is made of. */
export function queueContract(makeQueue: (limits: QueueLimits) => Promise<QueueUnderTest>): void {
  let made: QueueUnderTest;
  let queue: QueueUnderTest["queue"];

  async function start(limits: QueueLimits = roomy): Promise<void> {
    made = await makeQueue(limits);
    queue = made.queue;
  }

  beforeEach(() => start());
  afterEach(() => made.stop());

  const take = (): Delivery => {
    const delivery = queue.take();
    assert.ok(delivery, "expected something to deliver");
    return delivery;
  };
  /** Waits for something to be given out: after a delay, or once a reader has let go. */
  const taken = async (): Promise<Delivery> => {
    let delivery = queue.take();
    await eventually("something to deliver", () => {
      delivery ??= queue.take();
      return delivery !== undefined;
    });
    return delivery as Delivery;
  };
  const store = (delivery: Delivery, server = "storage-1") => {
    delivery.begin(server);
    delivery.stored(saved);
  };
  const cancelReason = (uploadId: string) => {
    try {
      queue.cancel({ uploadId });
      return undefined;
    } catch (error) {
      assert.ok(error instanceof BilanciaError);
      return error.reason;
    }
  };

  describe("the way of one upload", () => {
    it("gives what it took: number, description, bytes, digest", async () => {
      const listener = new RecordingListener();
      const description = describeFile({ sha256: new Uint8Array(32).fill(3), labels: { room: "1" } });
      const { requestNumber } = sendFile(queue, description, listener, 100_000, 30_000);
      const delivery = take();
      assert.equal(delivery.requestNumber, requestNumber);
      assert.deepEqual(delivery.description, description);
      assert.equal(delivery.complete, true);
      assert.equal(delivery.client, "test");
      assert.deepEqual(await readOut(delivery.read()), { sizeBytes: 100_000, end: "end" });
      const whole = await delivery.whole(100_000);
      assert.ok(whole && patterned(0, 100_000).equals(whole.data));
      assert.equal(delivery.whole(99_999), undefined);
    });

    it("tells the client of `stored` with the receipt, once", () => {
      const listener = new RecordingListener();
      const description = describeFile();
      const { requestNumber } = sendFile(queue, description, listener);
      assert.deepEqual(listener.told, []);
      store(take());
      assert.deepEqual(listener.told, ["stored"]);
      const [news] = listener.news;
      assert.ok(news?.kind === "stored");
      const { storedAtMs, ...receipt } = news.receipt;
      assert.equal(typeof storedAtMs, "number");
      const { uploadId, name } = description;
      assert.deepEqual(receipt, { requestNumber, uploadId, name, server: "storage-1", attempts: 1, ...saved });
    });

    it("tells `queued` when all bytes are there and kept, and only to who asked for it", async () => {
      const listener = new RecordingListener();
      const upload = openUpload(queue, describeFile({ ack: "queued" }), listener);
      upload.append(chunkAt(0, 5));
      assert.deepEqual(listener.told, []);
      upload.complete({});
      await eventually("the upload to be kept", () => listener.told.length > 0);
      assert.deepEqual(listener.told, ["queued"]);
      store(take());
      assert.deepEqual(listener.told, ["queued", "stored"]);
    });

    it("takes an empty file", async () => {
      const listener = new RecordingListener();
      sendFile(queue, describeFile({ sizeBytes: 0 }), listener, 0);
      const delivery = take();
      assert.deepEqual(await readOut(delivery.read()), { sizeBytes: 0, end: "end" });
      assert.equal((await delivery.whole(10))?.data.length, 0);
    });

    it("reads anew as often as it is asked", async () => {
      sendFile(queue, describeFile(), new RecordingListener(), 2_000_000);
      const delivery = take();
      for (const _ of [1, 2]) assert.equal((await readOut(delivery.read())).sizeBytes, 2_000_000);
    });
  });

  describe("order", () => {
    it("is first in, first out, with growing numbers", () => {
      const sent = Array.from({ length: 50 }, () => sendFile(queue, describeFile(), new RecordingListener()));
      const numbers = sent.map(({ requestNumber }) => requestNumber);
      assert.deepEqual(
        numbers,
        [...numbers].sort((a, b) => Number(a - b)),
      );
      assert.equal(new Set(numbers).size, 50);
      assert.deepEqual(
        sent.map(() => take().requestNumber),
        numbers,
      );
      assert.equal(queue.take(), undefined);
    });

    it("calls back when there is something to take", () => {
      let calls = 0;
      queue.onReady(() => calls++);
      sendFile(queue, describeFile(), new RecordingListener());
      assert.ok(calls > 0);
    });

    it("puts what failed back, ahead of what was never tried, with the attempt on record", async () => {
      const [first, second] = [1, 2].map(() => sendFile(queue, describeFile(), new RecordingListener()));
      const delivery = take();
      assert.equal(delivery.begin("storage-1"), 1);
      delivery.requeue("refused", "disk full", 0);
      const again = await taken();
      assert.equal(again.requestNumber, first?.requestNumber);
      assert.equal(again.failures, 1);
      assert.deepEqual(
        again.attempts.map(({ number, server, outcome, message }) => ({ number, server, outcome, message })),
        [{ number: 1, server: "storage-1", outcome: "refused", message: "disk full" }],
      );
      assert.equal(take().requestNumber, second?.requestNumber);
    });

    it("counts no failure for busy, and none for a release", async () => {
      sendFile(queue, describeFile(), new RecordingListener());
      let delivery = take();
      delivery.begin("storage-1");
      delivery.requeue("busy", "busy", 0);
      delivery = await taken();
      assert.equal(delivery.failures, 0);
      delivery.begin("storage-1");
      delivery.release(0);
      delivery = await taken();
      assert.equal(delivery.failures, 0);
      assert.deepEqual(
        delivery.attempts.map(({ outcome }) => outcome),
        ["busy"],
      );
      // The number of the void attempt is not used again: a server may have seen it.
      assert.equal(delivery.begin("storage-2"), 3);
    });

    it("keeps an upload back for the delay, and gives it out after", async () => {
      sendFile(queue, describeFile(), new RecordingListener());
      const delivery = take();
      delivery.begin("storage-1");
      delivery.requeue("lost", "gone", 30);
      assert.equal(queue.take(), undefined);
      assert.equal((await taken()).requestNumber, delivery.requestNumber);
    });
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
      await made.stop();
      await start({ ...roomy, maxFileBytes: 1_000 });
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
      await made.stop();
      await start({ ...roomy, maxFiles: 2 });
      for (const _ of [1, 2]) sendFile(queue, describeFile(), new RecordingListener());
      const opened = queue.open(describeFile(), new RecordingListener());
      assert.ok(opened.kind === "rejected");
      assert.equal(opened.rejection.reason, "QUEUE_FULL");
      assert.ok((opened.rejection.retryAfterMs ?? 0) > 0);
      store(take());
      assert.equal(queue.open(describeFile(), new RecordingListener()).kind, "receiving");
    });

    it("counts bytes that arrived and bytes that were announced", async () => {
      await made.stop();
      await start({ ...roomy, maxBytes: 1_000 });
      sendFile(queue, describeFile(), new RecordingListener(), 600);
      const opened = queue.open(describeFile({ sizeBytes: 401 }), new RecordingListener());
      assert.equal(opened.kind === "rejected" && opened.rejection.reason, "QUEUE_FULL");
      assert.equal(queue.open(describeFile({ sizeBytes: 400 }), new RecordingListener()).kind, "receiving");
    });
  });

  describe("cut-through", () => {
    it("offers a large upload while it arrives, and a small one only when it is complete", async () => {
      const small = openUpload(queue, describeFile(), new RecordingListener());
      small.append(chunkAt(0, 1_000));
      const upload = openUpload(queue, describeFile(), new RecordingListener());
      upload.append(chunkAt(0, large));
      const delivery = take();
      assert.equal(delivery.requestNumber, upload.requestNumber);
      assert.equal(delivery.complete, false);
      assert.equal(delivery.whole(1e9), undefined);
      assert.equal(queue.take(), undefined);
      const reading = readOut(delivery.read());
      upload.append(chunkAt(large, 1_000));
      upload.append(chunkAt(large + 1_000, 5));
      upload.complete({});
      assert.deepEqual(await reading, { sizeBytes: large + 1_005, end: "end" });
      assert.equal(delivery.complete, true);
    });

    it("does not offer an incomplete upload whose client waits for `queued`", async () => {
      const listener = new RecordingListener();
      const upload = openUpload(queue, describeFile({ ack: "queued" }), listener);
      upload.append(chunkAt(0, large));
      assert.equal(queue.take(), undefined);
      upload.complete({});
      await eventually("the upload to be kept", () => listener.told.length > 0);
      assert.equal(take().complete, true);
    });

    it("breaks the reader when the client leaves, and offers the upload again once it is resumed", async () => {
      const description = describeFile();
      const first = new RecordingListener();
      const upload = openUpload(queue, description, first);
      upload.append(chunkAt(0, large));
      const delivery = take();
      delivery.begin("storage-1");
      const reading = readOut(delivery.read());
      queue.leave(upload.requestNumber, first);
      assert.equal((await reading).end, "broken");
      delivery.release(0);
      assert.equal(queue.take(), undefined);
      const second = new RecordingListener();
      const resumed = openUpload(queue, description, second);
      assert.equal(resumed.receivedBytes, large);
      const again = await taken();
      assert.equal(again.requestNumber, upload.requestNumber);
      assert.equal(again.failures, 0);
      again.begin("storage-2");
      const rereading = readOut(again.read());
      resumed.append(chunkAt(large, 7));
      resumed.complete({});
      assert.deepEqual(await rereading, { sizeBytes: large + 7, end: "end" });
      again.stored(saved);
      assert.deepEqual(second.told, ["stored"]);
    });

    it("offers it again also when the client came back before dispatch noticed", async () => {
      const description = describeFile();
      const first = new RecordingListener();
      const upload = openUpload(queue, description, first);
      upload.append(chunkAt(0, large));
      const delivery = take();
      const reading = readOut(delivery.read());
      queue.leave(upload.requestNumber, first);
      const resumed = openUpload(queue, description, new RecordingListener());
      resumed.complete({});
      assert.equal((await reading).end, "broken");
      delivery.release(0);
      assert.deepEqual(await readOut((await taken()).read()), { sizeBytes: large, end: "end" });
    });

    it("gives a failed attempt's bytes to the next one from the beginning, while they still arrive", async () => {
      const upload = openUpload(queue, describeFile(), new RecordingListener());
      upload.append(chunkAt(0, large));
      const delivery = take();
      delivery.begin("storage-1");
      delivery.read().close();
      delivery.requeue("lost", "gone", 0);
      const again = await taken();
      assert.equal(again.failures, 1);
      const reading = readOut(again.read());
      upload.append(chunkAt(large, large));
      upload.complete({});
      assert.deepEqual(await reading, { sizeBytes: 2 * large, end: "end" });
    });
  });

  describe("cancelling", () => {
    it("says that a server's answer has come too late, when the upload has been given up meanwhile", () => {
      const description = describeFile();
      sendFile(queue, description, new RecordingListener());
      const delivery = queue.take();
      delivery?.begin("storage-1");
      assert.equal(cancelReason(description.uploadId), undefined);
      assert.equal(delivery?.stored({ storedName: "1_a.bin", sizeBytes: 5, sha256: new Uint8Array(32) }), false);
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
        { requestNumber: first.requestNumber, server: "storage-2" },
        { requestNumber: second.requestNumber },
      ]);
    });
  });
}
