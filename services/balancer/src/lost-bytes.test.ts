import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@bilancia/proto/testing/eventually";
import { Dispatcher } from "./dispatch/dispatcher.js";
import { SpoolFile } from "./queue/spool-file.js";
import { FakePool } from "./test-support/fake-pool.js";
import { FakeServer } from "./test-support/fake-server.js";
import {
  chunkAt,
  describeFile,
  openUpload,
  patterned,
  RecordingListener,
  readOut,
  sendFile,
} from "./test-support/queue-fixtures.js";
import { withTempFolder } from "./test-support/temp-folder.js";
import { openTestQueue } from "./test-support/test-queue.js";

/** One run of queue and dispatch over a state folder. */
async function run(folder: string, server: FakeServer) {
  const opened = await openTestQueue(folder);
  const pool = new FakePool([server]);
  const clock = { nowMs: Date.now, random: Math.random };
  const dispatcher = new Dispatcher({
    ...{ outbox: opened.queue, pool: pool.asPool, ledger: opened.numbering, clock },
    retry: { maxAttempts: 1_000, deadlineMs: 600_000, baseDelayMs: 5, maxDelayMs: 20, answerTimeoutMs: 60_000 },
    observer: { note: () => {} },
  });
  dispatcher.start();
  pool.changed(server);
  const end = async () => {
    pool.cutOff();
    await dispatcher.stop(0);
    await opened.crash();
  };
  return { ...opened, end };
}

type Run = Awaited<ReturnType<typeof run>>;

const stateOf = ({ queue }: Run, requestNumber: bigint) => queue.find({ requestNumber })?.state.kind;

/** Makes zeros of a page of a spool file: what a power failure leaves of bytes that were not flushed. */
async function tear(folder: string, requestNumber: bigint): Promise<void> {
  const file = await open(path.join(folder, "spool", `${requestNumber}.part`), "r+");
  await file.write(Buffer.alloc(4_096), 0, 4_096, 100_000);
  await file.close();
}

/** Sends the first bytes of a file, which the spool writes, and goes away. */
async function begin({ queue, spool }: Run, description = describeFile(), sizeBytes = 700_000) {
  const listener = new RecordingListener();
  const upload = openUpload(queue, description, listener);
  for (let at = 0; at < sizeBytes; at += 50_000) upload.append(chunkAt(at, 50_000));
  await eventually("the bytes to be on disk", () => spool.memoryBytes === 0);
  return { upload, listener };
}

/** A large file that is stored, and acknowledged; what is left is the state of before the outcome was in the ledger, its spool file torn. */
async function losePower(folder: string, server: FakeServer) {
  const before = path.join(folder, "before");
  const after = path.join(folder, "after");
  const first = await run(before, server);
  const description = describeFile();
  const { upload, listener } = await begin(first, description);
  const tell = listener.uploadProgress.bind(listener);
  listener.uploadProgress = (...news) => {
    tell(...news);
    if (news[2].kind === "stored") cpSync(before, after, { recursive: true });
  };
  upload.complete({});
  await eventually("the client to be told", () => listener.told.includes("stored"));
  await first.end();
  const { requestNumber } = upload;
  await tear(after, requestNumber);
  return { after, requestNumber, description };
}

/** Takes the next upload out, and reads it up to where its bytes turn out to be damaged. */
async function readDamage({ queue }: Run) {
  const delivery = queue.take();
  assert.ok(delivery);
  await assert.rejects(readOut(delivery.read()));
  return delivery;
}

describe("bytes that are lost", function () {
  this.timeout(30_000);

  it("are not missed where a server holds them that had said so: its copy is the only one, and no extra one", () =>
    withTempFolder(async (folder) => {
      const server = new FakeServer("storage-1", 1);
      const { after, requestNumber } = await losePower(folder, server);
      const second = await run(after, server);
      await eventually("it to be known as stored", () => stateOf(second, requestNumber) === "stored");
      assert.deepEqual([...server.files.keys()], [requestNumber]);
      assert.equal(second.noted.filter(({ kind }) => kind === "quarantined").length, 1);
      await second.end();
    }));

  it("are waited for while the server is away that may hold them, over another restart too", () =>
    withTempFolder(async (folder) => {
      const server = new FakeServer("storage-1", 1);
      const { after, requestNumber, description } = await losePower(folder, server);
      server.up = false;
      const second = await run(after, server);
      // Somebody waits for it: whoever is told that bytes are lost sends them again.
      const waiting = new RecordingListener();
      second.queue.open(description, waiting);
      const delivery = await readDamage(second);
      await eventually("its client to be told", () => waiting.told.join() === "rejected INTERNAL");
      delivery.release(0);
      assert.equal(stateOf(second, requestNumber), "receiving");
      await second.end();
      server.up = true;
      const third = await run(after, server);
      await eventually("it to be known as stored", () => stateOf(third, requestNumber) === "stored");
      assert.deepEqual([...server.files.keys()], [requestNumber]);
      await third.end();
    }));

  it("may come again: the file is stored once, on the server that has it", () =>
    withTempFolder(async (folder) => {
      const server = new FakeServer("storage-1", 1);
      const { after, requestNumber, description } = await losePower(folder, server);
      server.up = false;
      const second = await run(after, server);
      const delivery = await readDamage(second);
      await eventually("it to begin anew", () => stateOf(second, requestNumber) === "receiving");
      delivery.release(0);
      const { upload, listener } = await begin(second, description);
      assert.equal(upload.requestNumber, requestNumber);
      upload.complete({});
      await second.end();
      server.up = true;
      assert.deepEqual(listener.told, []);
      const third = await run(after, server);
      const again = new RecordingListener();
      sendFile(third.queue, description, again, 700_000);
      await eventually("its client to be told", () => again.told.join() === "stored");
      assert.deepEqual([...server.files.keys()], [requestNumber]);
      assert.ok(server.files.get(requestNumber)?.bytes.equals(patterned(0, 700_000)));
      await third.end();
    }));

  it("of a file that no server can have mean that it is given up, as before", () =>
    withTempFolder(async (folder) => {
      const server = new FakeServer("storage-1", 1);
      server.up = false;
      const first = await run(folder, server);
      const { upload, listener } = await begin(first, describeFile({ ack: "queued" }));
      upload.complete({});
      await eventually("the client to be told", () => listener.told.join() === "queued");
      await first.end();
      await tear(folder, upload.requestNumber);
      server.up = true;
      const second = await run(folder, server);
      await eventually("it to be given up", () => stateOf(second, upload.requestNumber) === "dead");
      assert.equal(server.files.size, 0);
      await second.end();
    }));

  it("of an earlier run are found before a file that goes on is acknowledged as queued", () =>
    withTempFolder(async (folder) => {
      const server = new FakeServer("storage-1", 1);
      const description = describeFile({ ack: "queued", sizeBytes: 1_200_000 });
      const first = await run(folder, server);
      const { upload } = await begin(first, description, 600_000);
      await first.end();
      await tear(folder, upload.requestNumber);
      const second = await run(folder, server);
      const listener = new RecordingListener();
      const again = openUpload(second.queue, description, listener);
      assert.equal(again.receivedBytes, 600_000);
      for (let at = 600_000; at < 1_200_000; at += 50_000) again.append(chunkAt(at, 50_000));
      again.complete({});
      await eventually("its client to be told", () => listener.told.length > 0);
      assert.deepEqual(listener.told, ["rejected INTERNAL"]);
      const third = new RecordingListener();
      sendFile(second.queue, description, third, 1_200_000);
      await eventually("it to be stored", () => third.told.join() === "queued,stored");
      await second.end();
    }));

  it("are not replaced by what a server holds that is something else than the client has sent", () =>
    withTempFolder(async (folder) => {
      const server = new FakeServer("storage-1", 1);
      const save = server.save.bind(server);
      server.save = (header, bytes) => save(header, Buffer.from(bytes).fill(1, 10, 11));
      const sha256 = createHash("sha256").update(patterned(0, 5_000)).digest();
      const description = describeFile({ sha256, sizeBytes: 5_000 });
      const first = await run(folder, server);
      const { requestNumber } = sendFile(first.queue, description, new RecordingListener(), 5_000);
      await eventually("the server to have something", () => server.files.size === 1);
      await first.end();
      server.save = save;
      const second = await run(folder, server);
      const listener = new RecordingListener();
      // Time enough to ask what it holds, and to take it for the outcome.
      await delay(100);
      assert.equal(stateOf(second, requestNumber), "receiving");
      assert.equal(sendFile(second.queue, description, listener, 5_000).requestNumber, requestNumber);
      await delay(100);
      assert.ok(!listener.told.includes("stored"), "what it holds is still another file");
      await second.end();
    }));

  it("are none of a stop: what is being made durable when it comes is, all of it", () =>
    withTempFolder(async (folder) => {
      const opened = await openTestQueue(folder);
      const { append } = SpoolFile.prototype;
      SpoolFile.prototype.append = async function (pieces) {
        await delay(50);
        return append.call(this, pieces);
      };
      const description = describeFile({ ack: "queued" });
      const listener = new RecordingListener();
      try {
        const { requestNumber } = sendFile(opened.queue, description, listener, 4_000_000);
        opened.queue.leave(requestNumber, listener);
        await opened.stop();
        const { size } = await stat(path.join(folder, "spool", `${requestNumber}.part`));
        assert.equal(size, 4_000_000);
      } finally {
        SpoolFile.prototype.append = append;
      }
      const second = await openTestQueue(folder);
      const again = new RecordingListener();
      assert.equal(second.queue.open(description, again).kind, "known");
      assert.deepEqual(again.told, ["queued"]);
      assert.ok(second.queue.take());
      await second.stop();
    }));
});
