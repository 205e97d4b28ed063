import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { eventually } from "@bilancia/proto/testing/eventually";
import { open } from "lmdb";
import { saved } from "../test-support/queue-bench.js";
import {
  chunkAt,
  describeFile,
  openUpload,
  RecordingListener,
  readOut,
  sendFile,
} from "../test-support/queue-fixtures.js";
import { openTestQueue, type TestQueue } from "../test-support/test-queue.js";
import type { UploadQueue } from "./upload-queue.js";

describe("the queue after a crash", () => {
  let folder: string;
  let opened: TestQueue;
  let queue: UploadQueue;

  /** Starts on what is in the folder. */
  async function start(nowMs: () => number = Date.now): Promise<void> {
    opened = await openTestQueue(folder, { nowMs });
    queue = opened.queue;
  }

  async function crash(nowMs?: () => number): Promise<void> {
    await opened.crash();
    await start(nowMs);
  }

  const waiting = () => {
    const { receivingFiles, queuedFiles, dispatchingFiles, queuedBytes } = queue.counts();
    return { receivingFiles, queuedFiles, dispatchingFiles, queuedBytes };
  };

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-recovery-"));
    await start();
  });
  afterEach(async () => {
    await opened.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  });

  async function queued(sizeBytes: number, description = describeFile({ ack: "queued" })): Promise<bigint> {
    const listener = new RecordingListener();
    const { requestNumber } = sendFile(queue, description, listener, sizeBytes);
    await eventually("queued", () => listener.told.includes("queued"));
    return requestNumber;
  }

  it("delivers what it had put on disk for want of memory, although its clients wait for stored", async () => {
    for (let sent = 0; sent < 1_200; sent++) sendFile(queue, describeFile(), new RecordingListener(), 8_000);
    await eventually("bytes to leave the memory", () => opened.spool.memoryBytes < 7 * 1024 * 1024);
    await crash();
    const { queuedFiles } = queue.counts();
    assert.ok(queuedFiles > 300, `${queuedFiles}`);
    for (let left = queuedFiles; left > 0; left--) {
      const delivery = queue.take();
      assert.equal((await delivery?.whole(8_000))?.data.length, 8_000);
      delivery?.begin("storage-1");
      delivery?.stored(saved);
    }
    assert.deepEqual(waiting(), { receivingFiles: 0, queuedFiles: 0, dispatchingFiles: 0, queuedBytes: 0 });
  });

  it("gives no number out twice that the ledger knows, where the numbering is gone", async () => {
    const [first, second] = [await queued(5), await queued(5)];
    await opened.crash();
    for (const name of ["numbering.json", "numbering-copy.json"]) await rm(path.join(folder, name));
    await start();
    const [told] = opened.noted.flatMap((occurrence) => (occurrence.kind === "quarantined" ? [occurrence.detail] : []));
    assert.equal(told, "numbers were reserved up to 0, but the ledger has uploads up to 2; it goes on after these");
    const third = await queued(5);
    assert.deepEqual([first, second, third], [1n, 2n, 3n]);
    assert.equal(queue.counts().queuedFiles, 3);
  });

  it("delivers what it had acknowledged, of every size, in order", async () => {
    const sizes = [0, 5, 100_000, 3_000_000];
    const numbers: bigint[] = [];
    for (const size of sizes) numbers.push(await queued(size));
    await crash();
    assert.equal(queue.counts().queuedFiles, 4);
    for (const [index, sizeBytes] of sizes.entries()) {
      const delivery = queue.take();
      assert.equal(delivery?.requestNumber, numbers[index]);
      assert.deepEqual(await readOut((delivery as NonNullable<typeof delivery>).read()), { sizeBytes, end: "end" });
      delivery?.begin("storage-1");
      delivery?.stored(saved);
    }
    assert.deepEqual(waiting(), { receivingFiles: 0, queuedFiles: 0, dispatchingFiles: 0, queuedBytes: 0 });
  });

  it("delivers what was urgent for its client first, as before", async () => {
    for (const priority of ["low", undefined, "high", "high"] as const)
      await queued(5, describeFile({ ack: "queued", priority }));
    const order = () => {
      const numbers: bigint[] = [];
      for (let delivery = queue.take(); delivery; delivery = queue.take()) numbers.push(delivery.requestNumber);
      return numbers;
    };
    await crash();
    assert.equal(queue.find({ requestNumber: 4n })?.description.priority, "high");
    assert.deepEqual(order(), [3n, 4n, 2n, 1n]);
    // Nothing was begun: a second restart finds them where they were.
    await crash();
    assert.deepEqual(order(), [3n, 4n, 2n, 1n]);
  });

  it("suspects the server of an attempt whose answer it has not seen, also where its own bytes are gone", async () => {
    const kept = await queued(5);
    const gone = sendFile(queue, describeFile(), new RecordingListener()).requestNumber;
    for (let delivery = queue.take(); delivery; delivery = queue.take()) {
      delivery.begin("storage-1");
      await delivery.intend();
    }
    await crash();
    const facts = queue.suspicions().map(({ requestNumber, server, attempt, bytesGone }) => ({
      ...{ requestNumber, server, attempt, bytesGone },
    }));
    assert.deepEqual(facts, [
      { requestNumber: kept, server: "storage-1", attempt: 1, bytesGone: false },
      { requestNumber: gone, server: "storage-1", attempt: 1, bytesGone: true },
    ]);
    assert.equal(queue.find({ requestNumber: gone })?.state.kind, "receiving");
    assert.equal(queue.found(gone, "storage-1", { saved, storedBy: { term: 1, attempt: 1 } }), "taken");
    assert.equal(queue.find({ requestNumber: gone })?.state.kind, "stored");
  });

  it("never gives up what a server may hold before that server has been asked", async () => {
    const send = async () => {
      const { requestNumber } = sendFile(queue, describeFile(), new RecordingListener());
      const delivery = queue.take();
      delivery?.begin("storage-1");
      await delivery?.intend();
      return requestNumber;
    };
    const [held, lost, cancelled] = [await send(), await send(), await send()];
    const state = (requestNumber: bigint) => queue.find({ requestNumber })?.state.kind;
    let passedMs = 0;
    await crash(() => Date.now() + passedMs);
    passedMs = 1_000 * 3_600_000;
    for (const _ of [1, 2]) queue.sweep();
    assert.deepEqual([held, lost, cancelled].map(state), ["receiving", "receiving", "receiving"]);
    const unsettled = opened.noted.filter(({ kind }) => kind === "unsettled");
    assert.equal(unsettled.length, 3, "each is reported, once");
    assert.ok(
      unsettled.every((occurrence) => occurrence.kind === "unsettled" && occurrence.servers[0] === "storage-1"),
    );

    assert.equal(queue.found(held, "storage-1", { saved, storedBy: { term: 1, attempt: 1 } }), "taken");
    queue.cleared(lost, "storage-1", 1);
    void queue.cancel({ requestNumber: cancelled });
    queue.sweep();
    assert.deepEqual([held, lost, cancelled].map(state), ["stored", "dead", "dead"]);
  });

  it("does not take a server's copy for the outcome of an upload that is being sent again", async () => {
    const description = describeFile();
    const { requestNumber } = sendFile(queue, description, new RecordingListener());
    const delivery = queue.take();
    delivery?.begin("storage-1");
    await delivery?.intend();
    await crash();
    openUpload(queue, description, new RecordingListener());
    assert.equal(queue.found(requestNumber, "storage-1", { saved, storedBy: { term: 1, attempt: 1 } }), "sent again");
    assert.equal(queue.find({ requestNumber })?.state.kind, "receiving");
  });

  it("takes it for the outcome when that server is tried first and has it, while the client is still sending", async () => {
    const sizeBytes = 600_000;
    const description = describeFile({ sizeBytes });
    const first = openUpload(queue, description, new RecordingListener());
    const { requestNumber } = first;
    first.append(chunkAt(0, 300_000));
    const delivery = queue.take();
    delivery?.begin("storage-1");
    // As when it is complete, but for bytes that were not durable yet.
    await delivery?.intend();
    await crash();
    const listener = new RecordingListener();
    const upload = openUpload(queue, description, listener);
    const [from, to] = [upload.receivedBytes, sizeBytes - 1_000];
    assert.ok(from <= 300_000, `${from} bytes are there`);
    upload.append(chunkAt(from, to - from));
    const again = queue.take();
    assert.equal(again?.requestNumber, requestNumber);
    again?.begin("storage-1");
    assert.ok(again?.stored(saved));
    upload.append(chunkAt(to, sizeBytes - to));
    upload.complete({});
    assert.deepEqual(listener.told, ["stored"]);
    assert.equal(queue.find({ requestNumber })?.state.kind, "stored");
    assert.deepEqual(waiting(), { receivingFiles: 0, queuedFiles: 0, dispatchingFiles: 0, queuedBytes: 0 });
    await crash();
    assert.equal(queue.find({ requestNumber })?.state.kind, "stored");
  });

  it("suspects the servers of ended uploads that may hold an extra copy, until they are cleared", async () => {
    const requestNumber = await queued(5);
    const first = queue.take();
    first?.begin("storage-1");
    await first?.intend();
    first?.requeue("lost", "no answer", 0);
    const second = queue.take();
    second?.begin("storage-2");
    await second?.intend();
    second?.stored(saved);
    await crash();
    const [suspicion, ...others] = queue.suspicions();
    assert.deepEqual(others, []);
    assert.deepEqual(suspicion?.rests, {
      server: "storage-2",
      mark: { lastOther: { term: opened.numbering.term - 1, attempt: 1 } },
    });
    assert.deepEqual(
      [suspicion?.requestNumber, suspicion?.server, suspicion?.attempt],
      [requestNumber, "storage-1", 1],
    );
    queue.cleared(requestNumber, "storage-1", 1);
    await crash();
    assert.deepEqual(queue.suspicions(), []);
  });

  it("keeps the suspicion of a later attempt when an earlier one is cleared", async () => {
    const requestNumber = await queued(5);
    for (const _ of [1, 2]) {
      const delivery = queue.take();
      delivery?.begin("storage-1");
      await delivery?.intend();
      delivery?.requeue("lost", "no answer", 0);
    }
    queue.cleared(requestNumber, "storage-1", 1);
    await crash();
    assert.deepEqual(
      queue.suspicions().map(({ attempt }) => attempt),
      [2],
    );
  });

  it("leaves an upload id with its latest upload when an earlier one is cleared", async () => {
    const description = describeFile();
    const early = sendFile(queue, description, new RecordingListener());
    const delivery = queue.take();
    delivery?.begin("storage-1");
    await delivery?.intend();
    delivery?.reject("lost", { reason: "INTERNAL", message: "test" });
    // Under the same id it begins anew, and is with a server when the balancer crashes.
    const late = sendFile(queue, description, new RecordingListener());
    const second = queue.take();
    second?.begin("storage-1");
    await second?.intend();
    queue.cleared(early.requestNumber, "storage-1", 1);
    await crash();
    assert.equal(queue.find({ uploadId: description.uploadId })?.requestNumber, late.requestNumber);
  });

  it("goes on with a broken-off upload at the byte that it has", async () => {
    const description = describeFile();
    const upload = openUpload(queue, description, new RecordingListener());
    upload.append(chunkAt(0, 1_000_000));
    const index = path.join(folder, "spool", `${upload.requestNumber}.index`);
    await eventually("the bytes in the spool", async () => (await readdir(path.dirname(index))).length === 2);
    await eventually("the entry in the ledger", () => opened.ledger.find(description) !== undefined);
    await crash();
    const again = openUpload(queue, description, new RecordingListener());
    assert.equal(again.requestNumber, upload.requestNumber);
    const offset = again.receivedBytes;
    again.append(chunkAt(offset, 1_200_000 - offset));
    again.complete({ sizeBytes: 1_200_000 });
    const delivery = queue.take();
    assert.ok(delivery);
    assert.deepEqual(await readOut(delivery.read()), { sizeBytes: 1_200_000, end: "end" });
  });

  it("puts a damaged entry aside, and delivers the others", async () => {
    const [bad, good] = [await queued(5), await queued(5)];
    await opened.crash();
    const root = open<Buffer, Buffer>({ path: path.join(folder, "ledger"), encoding: "binary", keyEncoding: "binary" });
    const entries = root.openDB<Buffer, Buffer>({ name: "entries", encoding: "binary", keyEncoding: "binary" });
    const key = Buffer.alloc(8);
    key.writeBigUInt64BE(bad);
    const value = Buffer.from(entries.get(key) ?? []);
    value.writeUInt8(value.readUInt8(20) ^ 1, 20);
    await entries.put(key, value);
    await root.close();
    await start();
    const delivery = queue.take();
    assert.equal(delivery?.requestNumber, good);
    delivery?.begin("storage-1");
    delivery?.stored(saved);
    assert.deepEqual(opened.damaged, [bad]);
    assert.deepEqual(waiting(), { receivingFiles: 0, queuedFiles: 0, dispatchingFiles: 0, queuedBytes: 0 });
  });

  it("never delivers a small file whose bytes are damaged, keeps them aside, and takes the file again", async () => {
    const description = describeFile({ ack: "queued" });
    const requestNumber = await queued(5, description);
    await opened.crash();
    const root = open<Buffer, Buffer>({ path: path.join(folder, "ledger"), encoding: "binary", keyEncoding: "binary" });
    const bytes = root.openDB<Buffer, Buffer>({ name: "bytes", encoding: "binary", keyEncoding: "binary" });
    const key = Buffer.alloc(8);
    key.writeBigUInt64BE(requestNumber);
    const value = Buffer.from(bytes.get(key) ?? []);
    value.writeUInt8(value.readUInt8(6) ^ 1, 6);
    await bytes.put(key, value);
    await root.close();
    await start();
    assert.equal(queue.take(), undefined);
    assert.deepEqual(opened.damaged, [requestNumber]);
    const listener = new RecordingListener();
    assert.equal(sendFile(queue, description, listener, 5).requestNumber, requestNumber);
    await eventually("the upload to be kept", () => listener.told.length === 1);
    const delivery = queue.take();
    assert.ok(delivery);
    assert.deepEqual(await readOut(delivery.read()), { sizeBytes: 5, end: "end" });
  });

  it("says what is left of an acknowledged upload whose spool file has become shorter, and lets its client send the rest", async () => {
    const requestNumber = await queued(1_000_000);
    await truncate(path.join(folder, "spool", `${requestNumber}.part`), 200_000);
    await crash();
    assert.equal(queue.take(), undefined);
    assert.ok(
      opened.noted.some(
        (occurrence) => occurrence.kind === "quarantined" && occurrence.requestNumber === requestNumber,
      ),
    );
    const { receivingFiles, queuedFiles } = waiting();
    assert.deepEqual({ receivingFiles, queuedFiles }, { receivingFiles: 1, queuedFiles: 0 });
  });

  it("puts spooled bytes aside that are damaged, and deletes nothing", async () => {
    const requestNumber = await queued(1_000_000);
    await writeFile(path.join(folder, "spool", `${requestNumber}.part`), Buffer.alloc(1_000_000));
    await crash();
    const delivery = queue.take();
    assert.ok(delivery);
    await assert.rejects(readOut(delivery.read()), /damaged/);
    const quarantine = path.join(folder, "spool", "quarantine");
    await eventually("the rejection", () => queue.find({ requestNumber })?.state.kind === "dead");
    assert.deepEqual((await readdir(quarantine)).sort(), [`${requestNumber}.index`, `${requestNumber}.part`]);
  });
});
