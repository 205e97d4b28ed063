import assert from "node:assert/strict";
import fs from "node:fs";
import fsp, { mkdir, mkdtemp, rm, truncate } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { eventually } from "@bilancia/proto/testing/eventually";
import { ContentUnreadable } from "../ports/content.js";
import { describeFile, RecordingListener, readOut, sendFile } from "../test-support/queue-fixtures.js";
import { openTestQueue, type TestQueue } from "../test-support/test-queue.js";
import type { UploadQueue } from "./upload-queue.js";

const sizeBytes = 1_000_000;

describe("the queue, where the disk does not give out a file that was acknowledged", () => {
  let folder: string;
  let opened: TestQueue;
  let queue: UploadQueue;
  let requestNumber: bigint;
  let nowMs: number;

  const spooled = (...names: string[]) => path.join(folder, "spool", ...names);

  async function start(): Promise<void> {
    opened = await openTestQueue(folder, { nowMs: () => nowMs });
    queue = opened.queue;
  }

  beforeEach(async () => {
    nowMs = Date.now();
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-unreadable-"));
    await start();
    const listener = new RecordingListener();
    ({ requestNumber } = sendFile(queue, describeFile({ ack: "queued" }), listener, sizeBytes));
    await eventually("queued", () => listener.told.includes("queued"));
    await opened.crash();
  });
  afterEach(async () => {
    await opened.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  });

  /** Has no handle to spare while something runs. */
  async function withoutHandles<T>(run: () => T | Promise<T>): Promise<T> {
    const { open } = fsp;
    const { readFileSync } = fs;
    const fail = (): never => {
      throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
    };
    Object.assign(fsp, { open: async () => fail() });
    Object.assign(fs, { readFileSync: fail });
    syncBuiltinESMExports();
    try {
      return await run();
    } finally {
      Object.assign(fsp, { open });
      Object.assign(fs, { readFileSync });
      syncBuiltinESMExports();
    }
  }

  async function taken(): Promise<{ sizeBytes: number; end: string }> {
    let delivery = queue.take();
    await eventually("its turn", () => {
      delivery ??= queue.take();
      return delivery !== undefined;
    });
    assert.equal(delivery?.requestNumber, requestNumber);
    return readOut(delivery.read());
  }

  it("reads it again a little later where there was no handle to spare", async () => {
    await start();
    const delivery = queue.take();
    assert.ok(delivery);
    await withoutHandles(() => assert.rejects(readOut(delivery.read()), ContentUnreadable));
    assert.equal(opened.noted.filter(({ kind }) => kind === "fault").length, 1);
    delivery.release(0);
    assert.deepEqual(await taken(), { sizeBytes, end: "end" });
  });

  it("gives it out a little later where it could not even be looked for", async () => {
    await start();
    assert.equal(await withoutHandles(() => queue.take()), undefined);
    assert.equal(opened.noted.filter(({ kind }) => kind === "fault").length, 1);
    assert.deepEqual(await taken(), { sizeBytes, end: "end" });
  });

  it("keeps it where its file cannot be closed after it was read", async () => {
    await start();
    const delivery = queue.take();
    assert.ok(delivery);
    delivery.begin("storage-1");
    const { open } = fsp;
    Object.assign(fsp, {
      open: async (...which: Parameters<typeof open>) => {
        const handle = await open(...which);
        const close = handle.close.bind(handle);
        const fail = async () => {
          await close();
          throw Object.assign(new Error("EIO: i/o error, close"), { code: "EIO" });
        };
        return Object.assign(handle, { close: fail });
      },
    });
    syncBuiltinESMExports();
    try {
      assert.deepEqual(await readOut(delivery.read()), { sizeBytes, end: "end" });
      delivery.requeue("lost", "no answer", 0);
      await eventually("the fault to be told", () => opened.noted.some(({ kind }) => kind === "fault"));
      // It is closed after each use now.
      assert.equal((await queue.take()?.whole(sizeBytes))?.data.length, sizeBytes);
    } finally {
      Object.assign(fsp, { open });
      syncBuiltinESMExports();
    }
    assert.equal(queue.find({ requestNumber })?.state.kind, "dispatching");
    assert.deepEqual((await opened.spooled()).sort(), [`${requestNumber}.index`, `${requestNumber}.part`]);
  });

  it("puts it aside where the disk fails, and deletes nothing", async () => {
    await start();
    const delivery = queue.take();
    assert.ok(delivery);
    await rm(spooled(`${requestNumber}.part`));
    await mkdir(spooled(`${requestNumber}.part`, "kept"), { recursive: true });
    await assert.rejects(readOut(delivery.read()), /cannot be read \(EISDIR\)/);
    await eventually("the rejection", () => queue.find({ requestNumber })?.state.kind === "dead");
    assert.deepEqual(fs.readdirSync(spooled("quarantine", `${requestNumber}.part`)), ["kept"]);
  });

  it("puts what is left of it aside where it has become shorter and nobody sends the rest, and deletes nothing", async () => {
    await truncate(spooled(`${requestNumber}.part`), sizeBytes - 1);
    await start();
    assert.equal(queue.take(), undefined);
    nowMs += 60_001;
    queue.sweep();
    await eventually("the rejection", () => queue.find({ requestNumber })?.state.kind === "dead");
    assert.deepEqual(fs.readdirSync(spooled("quarantine")).sort(), [`${requestNumber}.index`, `${requestNumber}.part`]);
    assert.equal(fs.statSync(spooled("quarantine", `${requestNumber}.part`)).size, sizeBytes - 1);
  });
});
