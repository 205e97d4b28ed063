import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Ack, Priority, type UploadEvent } from "@bilancia/proto/gen/balancer";
import { Kind } from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import { BalancerClient, balancerService } from "@bilancia/proto/services";
import { credentials, Server, type ServiceError } from "@grpc/grpc-js";
import { eventually } from "../test-support/eventually.js";
import { saved } from "../test-support/queue-bench.js";
import { describeFile, patterned } from "../test-support/queue-fixtures.js";
import { openTestQueue, type TestQueue } from "../test-support/test-queue.js";
import { UploadService } from "./upload-service.js";

const partBytes = 200_000;

function part(index: number) {
  return { header: undefined, offset: index * partBytes, data: patterned(index * partBytes, partBytes) };
}

function header(sizeBytes: number) {
  const { uploadId, name, labels } = describeFile();
  const rest = { sha256: undefined, contentType: "", kind: Kind.KIND_BINARY, ack: Ack.ACK_STORED, labels };
  const priority = Priority.PRIORITY_UNSPECIFIED;
  return { uploadId, name, sizeBytes: BigInt(sizeBytes), priority, ...rest };
}

describe("an upload stream", () => {
  let folder: string;
  let opened: TestQueue;
  let server: Server;
  let client: BalancerClient;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-session-"));
    opened = await openTestQueue(folder);
    const { queue } = opened;
    const service = new UploadService(queue, queue, { note: () => {} });
    server = new Server();
    server.addService(balancerService, { ...service.handlers });
    client = new BalancerClient(await listen(server, "127.0.0.1:0"), credentials.createInsecure());
  });
  afterEach(async () => {
    client.close();
    server.forceShutdown();
    await opened.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  });

  it("skips the rest of a file that a server turns out to hold, and goes on with the next", async () => {
    const call = client.uploadFile();
    const events: UploadEvent[] = [];
    call.on("data", (message: { events: UploadEvent[] }) => events.push(...message.events));
    const failed = new Promise<never>((_, reject) => call.on("error", reject));
    const kinds = () => events.map(({ event }) => event?.$case);
    const told = (kind: string) =>
      Promise.race([eventually(kind, () => kinds().includes(kind as never), 5_000), failed]);
    call.write({ parts: [{ ...part(0), header: header(4 * partBytes) }] });
    call.write({ parts: [part(1)] });
    await eventually("it is offered while it arrives", () => opened.queue.counts().queuedBytes === 2 * partBytes);
    const delivery = opened.queue.take();
    assert.ok(delivery && !delivery.complete);
    delivery.begin("storage-1");
    assert.ok(delivery.stored({ ...saved, sizeBytes: 4 * partBytes }));
    await told("stored");
    call.write({ parts: [part(2)] });
    call.write({ parts: [{ ...part(3), finish: { sizeBytes: undefined, sha256: undefined } }] });
    call.write({
      parts: [{ ...part(0), header: header(partBytes), finish: { sizeBytes: undefined, sha256: undefined } }],
    });
    const nextIsThere = () => opened.queue.counts().queuedFiles === 1;
    await Promise.race([eventually("the next file has come", nextIsThere), failed]);
    assert.deepEqual(kinds(), ["accepted", "stored"]);
    const { receivingFiles, queuedBytes, storedFiles } = opened.queue.counts();
    assert.deepEqual(
      { receivingFiles, queuedBytes, storedFiles },
      { receivingFiles: 0, queuedBytes: partBytes, storedFiles: 1 },
    );
    call.cancel();
    await failed.catch(() => {});
  });

  it("is read in its turn, though the clock is set back while the ones before it say nothing", async () => {
    const { now } = Date;
    // More do not have a turn at a time.
    const calls = Array.from({ length: 33 }, () => client.uploadFile());
    try {
      for (const call of calls) call.on("data", () => {}).on("error", () => {});
      const silent = calls.slice(0, -1);
      for (const call of silent) call.write({ parts: [{ ...part(0), header: header(3 * partBytes) }] });
      const read = (parts: number) => () => opened.queue.counts().queuedBytes === parts * partBytes;
      await eventually("the silent ones have begun", read(silent.length));
      Date.now = () => now() - 3_600_000;
      calls.at(-1)?.write({ parts: [{ ...part(0), header: header(3 * partBytes) }] });
      calls.at(-1)?.write({ parts: [part(1)] });
      await eventually("another one begins", read(silent.length + 1));
      await eventually("it goes on", read(silent.length + 2));
    } finally {
      Date.now = now;
      for (const call of calls) call.cancel();
    }
  });

  it("breaks off where a file's end comes further on than its bytes; 0 stands for nothing", async () => {
    const finish = { sizeBytes: undefined, sha256: undefined };
    const end = (offset: number) => ({ header: undefined, offset, data: Buffer.alloc(0), finish });
    const beginning = () => ({ ...part(0), header: { ...header(0), sizeBytes: undefined } });
    const call = client.uploadFile();
    call.on("data", () => {});
    const failed = new Promise<string>((resolve) => call.on("error", (error: ServiceError) => resolve(error.details)));
    call.write({ parts: [beginning(), end(0)] });
    call.write({ parts: [beginning(), end(partBytes)] });
    const gap = beginning();
    call.write({ parts: [gap, end(partBytes + 1)] });
    assert.equal(
      await failed,
      `PROTOCOL_VIOLATION: the end of "a.bin" comes at offset ${partBytes + 1}; expected ${partBytes}`,
    );
    assert.equal(opened.queue.counts().queuedFiles, 2);
    // Sent again with its id, it goes on.
    const again = client.uploadFile();
    again.on("data", () => {}).on("error", () => {});
    again.write({ parts: [{ ...end(partBytes), header: gap.header }] });
    await eventually("the file is complete", () => opened.queue.counts().queuedFiles === 3);
    again.cancel();
  });
});
