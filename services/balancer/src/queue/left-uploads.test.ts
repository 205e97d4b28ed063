import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { cannotTest } from "@bilancia/proto/testing/cannot-test";
import { eventually } from "@bilancia/proto/testing/eventually";
import { chunkAt, describeFile, openUpload, RecordingListener, readOut } from "../test-support/queue-fixtures.js";
import { openTestQueue, type TestQueue } from "../test-support/test-queue.js";
import type { UploadQueue } from "./upload-queue.js";

/** More than half of what all uploads together may have in memory, in files that nobody finishes. */
const crowd = { files: 75, bytes: 65_000 };

describe("uploads whose client has left, or waits", () => {
  let folder: string;
  let opened: TestQueue;
  let queue: UploadQueue;
  let nowMs: number;
  const client = new RecordingListener();

  async function start(): Promise<void> {
    opened = await openTestQueue(folder, { nowMs: () => nowMs });
    queue = opened.queue;
  }

  beforeEach(async () => {
    nowMs = Date.now();
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-left-"));
    await start();
  });
  afterEach(async () => {
    await opened.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  });

  const begin = (bytes: number) => {
    const upload = openUpload(queue, describeFile(), client);
    for (let at = 0; at < bytes; at += 100_000) upload.append(chunkAt(at, Math.min(100_000, bytes - at)));
    return upload;
  };

  it("have no file open while they lie on disk", async () => {
    const open = () => readdirSync("/proc/self/fd").length;
    if (!existsSync("/proc/self/fd")) return cannotTest("how many files are open: there is no /proc/self/fd");
    const before = open();
    const left = Array.from({ length: 30 }, () => begin(600_000));
    await eventually("bytes on disk", async () => (await opened.spooled()).length === 60);
    for (const { requestNumber } of left) queue.leave(requestNumber, client);
    await eventually("their files to be closed", () => open() <= before + 2);
    const listener = new RecordingListener();
    const waiting = Array.from({ length: 30 }, () => openUpload(queue, describeFile({ ack: "queued" }), listener));
    for (const upload of waiting) {
      upload.append(chunkAt(0, 100_000));
      upload.complete({});
    }
    await eventually("queued", () => listener.told.length === 30);
    await eventually("their files to be closed", () => open() <= before + 2);
    const delivery = queue.take();
    assert.ok(delivery);
    assert.deepEqual(await readOut(delivery.read()), { sizeBytes: 100_000, end: "end" });
    const first = queue.find(left[0] ?? assert.fail());
    assert.ok(first);
    const again = openUpload(queue, first.description, client);
    assert.equal(again.receivedBytes, 600_000);
    again.append(chunkAt(600_000, 500_000));
    again.complete({});
    let resumed = queue.take();
    while (resumed && resumed.requestNumber !== first.requestNumber) resumed = queue.take();
    assert.ok(resumed);
    assert.deepEqual(await readOut(resumed.read()), { sizeBytes: 1_100_000, end: "end" });
  });

  it("leave the memory when it is short", async () => {
    const left = Array.from({ length: crowd.files }, () => begin(crowd.bytes));
    assert.ok(opened.spool.crowded);
    for (const { requestNumber } of left) queue.leave(requestNumber, client);
    await eventually("room", () => !opened.spool.crowded);
    assert.deepEqual(queue.find(left[0] ?? assert.fail())?.persistedBytes, crowd.bytes);
  });

  it("leave the memory when it becomes short later", async () => {
    queue.leave(begin(crowd.bytes).requestNumber, client);
    for (let file = 0; file < crowd.files; file++) begin(crowd.bytes);
    const fullBytes = opened.spool.memoryBytes;
    queue.sweep();
    await eventually("room", () => opened.spool.memoryBytes === fullBytes - crowd.bytes);
  });

  it("can be resumed after a restart where their bytes went to disk for want of memory", async () => {
    const upload = begin(20_000);
    while (!opened.spool.full) begin(crowd.bytes);
    assert.ok(upload.ready());
    await eventually("bytes on disk", async () => (await opened.spooled()).length === 2);
    await eventually("an entry", () => opened.ledger.find(upload) !== undefined);
    await opened.stop();
    await start();
    assert.deepEqual(
      opened.noted.filter(({ kind }) => kind === "quarantined"),
      [],
    );
    assert.equal(queue.find(upload)?.persistedBytes, 20_000);
  });

  it("have as long to come back as is configured, however long they had been sent, and however often the balancer was started", async () => {
    const upload = begin(600_000);
    await eventually("bytes on disk", async () => (await opened.spooled()).length === 2);
    nowMs += 70_000;
    queue.leave(upload.requestNumber, client);
    queue.sweep();
    assert.equal(queue.find(upload)?.state.kind, "receiving");
    nowMs += 50_000;
    await opened.crash();
    await start();
    nowMs += 50_000;
    queue.sweep();
    assert.equal(queue.find(upload)?.state.kind, "receiving");
    nowMs += 20_000;
    queue.sweep();
    assert.equal(queue.find(upload)?.state.kind, "dead");
  });

  it("are forgotten, small ones, when very many are left after them, but not where somebody has gone on with them", async () => {
    const first = begin(10);
    const second = begin(10);
    const large = begin(100_000);
    for (const { requestNumber } of [first, second, large]) queue.leave(requestNumber, client);
    const again = openUpload(queue, queue.find(first)?.description ?? assert.fail(), client);
    assert.equal(again.receivedBytes, 10);
    for (let file = 0; file < 4_096; file++) queue.leave(begin(1).requestNumber, client);
    const stateOf = (upload: typeof first) => queue.find(upload)?.state;
    assert.equal(stateOf(first)?.kind, "receiving");
    assert.equal(stateOf(large)?.kind, "receiving");
    const state = stateOf(second);
    assert.equal(state?.kind === "dead" && state.rejection.reason, "QUEUE_FULL");
    assert.equal(queue.counts().receivingFiles, 2 + 4_096 - 1 + 1);
  });

  it("are cancelled for good once that has been answered, also when the power fails right after it", async () => {
    const upload = openUpload(queue, describeFile({ ack: "queued" }), client);
    upload.append(chunkAt(0, 20_000));
    upload.complete({});
    await eventually("an entry", () => opened.ledger.find(upload) !== undefined);
    await queue.cancel(upload);
    const copy = `${folder}-copy`;
    cpSync(folder, copy, { recursive: true });
    const second = await openTestQueue(copy);
    assert.equal(second.queue.find(upload)?.state.kind, "dead");
    assert.equal(second.queue.take(), undefined);
    await second.stop();
    await rm(copy, { recursive: true, force: true });
  });

  it("end nothing but themselves when they are cancelled while their pieces are put together", async () => {
    const listener = new RecordingListener();
    const upload = openUpload(queue, describeFile({ ack: "queued" }), listener);
    for (const at of [0, 20_000]) upload.append(chunkAt(at, 20_000));
    upload.complete({});
    void queue.cancel(upload);
    await eventually("the rejection", () => listener.told.includes("rejected CANCELLED"));
    const kept = openUpload(queue, describeFile({ ack: "queued" }), listener);
    for (const at of [0, 20_000]) kept.append(chunkAt(at, 20_000));
    kept.complete({});
    await eventually("queued", () => listener.told.includes("queued"));
    assert.equal(opened.ledger.find(kept)?.bytesAt, "ledger", "small files need no file of their own");
    assert.deepEqual(await readOut((queue.take() ?? assert.fail()).read()), { sizeBytes: 40_000, end: "end" });
  });
});
