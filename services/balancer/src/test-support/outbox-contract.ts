import assert from "node:assert/strict";
import { eventually } from "@bilancia/proto/testing/eventually";
import { large, type QueueBench, saved, type TestedQueue } from "./queue-bench.js";
import {
  chunkAt,
  describeFile,
  openUpload,
  patterned,
  RecordingListener,
  readOut,
  sendFile,
} from "./queue-fixtures.js";

/** What every `Outbox` must do: what is given out, in which order, and how it comes back. */
export function outboxContract(bench: QueueBench): void {
  const { take, taken, store } = bench;
  let queue: TestedQueue;
  beforeEach(() => {
    queue = bench.queue;
  });

  describe("the way of one upload", () => {
    it("gives what it took: number, description, bytes, digest", async () => {
      const listener = new RecordingListener();
      const description = describeFile({ sha256: new Uint8Array(32).fill(3), labels: { room: "1" } });
      const { requestNumber } = sendFile(queue, description, listener, 100_000, 30_000);
      const delivery = take();
      assert.equal(delivery.requestNumber, requestNumber);
      assert.deepEqual(delivery.description, description);
      assert.equal(delivery.client, "test");
      assert.deepEqual(await readOut(delivery.read()), { sizeBytes: 100_000, end: "end" });
      const whole = await delivery.whole(100_000);
      assert.ok(whole && patterned(0, 100_000).equals(whole.data));
      assert.equal(delivery.whole(99_999), undefined);
    });

    it("gives the digest that came with the end of the file, for a small one and for a large one", () => {
      const sha256 = new Uint8Array(32).fill(3);
      for (const sizeBytes of [5, large]) {
        const upload = openUpload(queue, describeFile(), new RecordingListener());
        upload.append(chunkAt(0, sizeBytes));
        upload.complete({ sha256 });
        assert.deepEqual(take().sha256, sha256);
      }
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

    it("lets a client's urgent files go before its others by 16 : 4 : 1, and first of all what has failed", async () => {
      const priorities = [...Array(4).fill("low"), ...Array(8).fill(undefined), ...Array(32).fill("high")];
      for (const priority of priorities) sendFile(queue, describeFile({ priority }), new RecordingListener());
      const next = () => (take().description.priority ?? "normal").slice(0, 1);
      const round = "hhhhnhhhhnhhhhnhhhhnl";
      assert.equal(Array.from({ length: 42 }, next).join(""), round.repeat(2));
      const last = take();
      last.begin("storage-1");
      sendFile(queue, describeFile({ priority: "high" }), new RecordingListener());
      last.requeue("busy", "no room", 0);
      const again = await taken();
      assert.equal(again.requestNumber, last.requestNumber);
      assert.equal(again.description.priority, "low");
      assert.equal(next(), "h");
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

  describe("cut-through", () => {
    it("offers a large upload while it arrives, and a small one only when it is complete", async () => {
      const small = openUpload(queue, describeFile(), new RecordingListener());
      small.append(chunkAt(0, 1_000));
      const upload = openUpload(queue, describeFile(), new RecordingListener());
      upload.append(chunkAt(0, large));
      const delivery = take();
      assert.equal(delivery.requestNumber, upload.requestNumber);
      assert.equal(delivery.whole(1e9), undefined);
      assert.equal(queue.take(), undefined);
      const reading = readOut(delivery.read());
      upload.append(chunkAt(large, 1_000));
      upload.append(chunkAt(large + 1_000, 5));
      upload.complete({});
      assert.deepEqual(await reading, { sizeBytes: large + 1_005, end: "end" });
    });

    it("does not offer an incomplete upload whose client waits for `queued`", async () => {
      const listener = new RecordingListener();
      const upload = openUpload(queue, describeFile({ ack: "queued" }), listener);
      upload.append(chunkAt(0, large));
      assert.equal(queue.take(), undefined);
      upload.complete({});
      await eventually("the upload to be kept", () => listener.told.length > 0);
      assert.equal(take().sizeBytes, large);
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
}
