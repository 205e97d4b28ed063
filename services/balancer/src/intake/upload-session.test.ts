import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Ack, Priority, type UploadEvent } from "@bilancia/proto/gen/balancer";
import { Kind } from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import { BalancerClient, balancerService } from "@bilancia/proto/services";
import { eventually } from "@bilancia/proto/testing/eventually";
import { credentials, Server, type ServiceError, status } from "@grpc/grpc-js";
import { crc32c } from "@node-rs/crc32";
import type { Occurrence } from "../domain/occurrence.js";
import type { UploadListener } from "../ports/inbox.js";
import { saved } from "../test-support/queue-bench.js";
import { describeFile, patterned } from "../test-support/queue-fixtures.js";
import { openTestQueue, type TestQueue } from "../test-support/test-queue.js";
import { UploadService } from "./upload-service.js";

const partBytes = 200_000;
/** The end of a file that says nothing of it. */
const noFacts = { sizeBytes: undefined, sha256: undefined };

function part(index: number) {
  return { header: undefined, offset: index * partBytes, data: patterned(index * partBytes, partBytes) };
}

function headerOf(ack: Ack, sizeBytes: number) {
  const { uploadId, name, labels } = describeFile();
  const rest = { sha256: undefined, contentType: "", kind: Kind.KIND_BINARY, ack, labels };
  return { uploadId, name, sizeBytes: BigInt(sizeBytes), priority: Priority.PRIORITY_UNSPECIFIED, ...rest };
}

const header = (sizeBytes: number) => headerOf(Ack.ACK_STORED, sizeBytes);

describe("an upload stream", () => {
  let folder: string;
  /** What the session has told its observer of. */
  let noted: Occurrence[] = [];
  let opened: TestQueue;
  let service: UploadService;
  let server: Server;
  let client: BalancerClient;
  let address: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-session-"));
    opened = await openTestQueue(folder);
    const { queue } = opened;
    noted = [];
    service = new UploadService(queue, queue, { note: (occurrence) => noted.push(occurrence) });
    server = new Server();
    server.addService(balancerService, { ...service.handlers });
    address = await listen(server, "127.0.0.1:0");
    client = new BalancerClient(address, credentials.createInsecure());
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
    assert.ok(delivery);
    delivery.begin("storage-1");
    assert.ok(delivery.stored({ ...saved, sizeBytes: 4 * partBytes }));
    await told("stored");
    call.write({ parts: [part(2)] });
    call.write({ parts: [{ ...part(3), finish: noFacts }] });
    call.write({ parts: [{ ...part(0), header: header(partBytes), finish: noFacts }] });
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

  it("takes what has a field in it that nobody knows, and passes on what it knows; breaks off at what is no field", async () => {
    const call = client.uploadFile();
    call.on("data", () => {});
    const failed = new Promise<string>((resolve) => call.on("error", (error: ServiceError) => resolve(error.details)));
    const messageOf = (index: number) => {
      const { offset, data } = part(index);
      return balancerService.uploadFile.requestSerialize({ parts: [{ offset, data, crc32c: crc32c(data) }] });
    };
    const withBehind = (message: Buffer, hex: string) => ({
      parts: [],
      raw: Buffer.concat([message, Buffer.from(hex, "hex")]),
    });
    call.write({ parts: [{ ...part(0), header: header(4 * partBytes) }] });
    call.write({ parts: [], raw: messageOf(1) });
    call.write(withBehind(messageOf(2), "7a0141"));
    await eventually("both have come", () => opened.queue.counts().queuedBytes === 3 * partBytes);
    const reader = opened.queue.take()?.read();
    const passedOn: boolean[] = [];
    for (let index = 0; index < 3; index++) {
      const content = await reader?.next();
      passedOn.push(content?.kind === "chunk" && content.chunk.raw !== undefined);
    }
    assert.deepEqual(passedOn, [false, true, false]);
    call.write(withBehind(messageOf(3), "020141"));
    assert.match(await failed, /^PROTOCOL_VIOLATION: the message is not an UploadFileRequest: illegal tag/);
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
    const end = (offset: number) => ({ header: undefined, offset, data: Buffer.alloc(0), finish: noFacts });
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

  it("hears of its queued files while it is open; once it has ended none of them keeps it, in memory or not", async () => {
    const { queue, spool } = opened;
    const listeners = new Set<UploadListener>();
    const open = queue.open.bind(queue);
    queue.open = (description, listener) => {
      listeners.add(listener);
      return open(description, listener);
    };
    // More than stay in memory while none is delivered.
    const filesCount = 150;
    const sizeBytes = 60_000;
    const kinds: (string | undefined)[] = [];
    const heard = (kind: string) => kinds.filter((one) => one === kind).length;
    const send = async () => {
      const before = heard("queued");
      const call = client.uploadFile();
      call.on("data", ({ events }: { events: UploadEvent[] }) =>
        kinds.push(...events.map(({ event }) => event?.$case)),
      );
      for (let file = 0; file < filesCount; file++) {
        const whole = { header: headerOf(Ack.ACK_QUEUED, sizeBytes), offset: 0, data: patterned(0, sizeBytes) };
        call.write({ parts: [{ ...whole, finish: noFacts }] });
      }
      await eventually("all files are queued", () => heard("queued") === before + filesCount);
      assert.ok(spool.memoryBytes > 0 && spool.memoryBytes < filesCount * sizeBytes, "some are in memory, not all");
      return call;
    };
    const deliver = () => {
      for (let delivery = queue.take(); delivery; delivery = queue.take()) {
        delivery.begin("storage-1");
        delivery.stored({ ...saved, sizeBytes });
      }
      assert.equal(queue.counts().queuedFiles, 0);
    };

    const stays = await send();
    deliver();
    await eventually("all files are stored", () => heard("stored") === filesCount);
    stays.end();

    const ends = await send();
    ends.end();
    await eventually("the streams have ended", () => service.streams === 0);
    let toldCount = 0;
    for (const listener of listeners) {
      listener.uploadProgress = () => {
        toldCount += 1;
      };
    }
    deliver();
    assert.equal(toldCount, 0);
  });

  it("is read no further while the client leaves its events unread, and goes on with them", async () => {
    const session = connect(`http://${address}`, { settings: { initialWindowSize: 0 } });
    const method = "/bilancia.v1.Balancer/UploadFile";
    const call = session.request({
      ":method": "POST",
      ":path": method,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const failed = once(call, "close").then(() => Promise.reject(new Error("the stream has ended")));
    failed.catch(() => {});
    const unnamed = { header: { ...header(0), name: "" }, offset: 0, data: patterned(0, 0) };
    const message = balancerService.uploadFile.requestSerialize({ parts: Array.from({ length: 64 }, () => unnamed) });
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    const messageCount = 1_000;
    for (let at = 0; at < messageCount; at++) call.write(Buffer.concat([prefix, message]));
    const heldUp = async () => {
      const before = noted.length;
      await delay(300);
      return noted.length === before && before > 0;
    };
    await Promise.race([eventually("nothing more is read", heldUp), failed]);
    assert.ok(noted.length < 5_000, `${noted.length} events are in memory`);
    session.settings({ initialWindowSize: 2 ** 30 });
    session.setLocalWindowSize(2 ** 30);
    call.resume();
    await Promise.race([eventually("all of it is read", () => noted.length === messageCount * 64), failed]);
    session.destroy();
  });

  it("is told what was wrong, however long the name of the file", async () => {
    const call = client.uploadFile();
    const failed = new Promise<ServiceError>((resolve) => call.on("error", resolve));
    call.on("data", () => {});
    const ends = { ...header(9), name: "€".repeat(300_000) };
    call.write({ parts: [{ header: ends, offset: 0, data: patterned(0, 1) }] });
    call.write({ parts: [{ offset: 5, data: patterned(5, 1) }] });
    const { code, details } = await failed;
    assert.equal(code, status.INVALID_ARGUMENT);
    assert.match(details, /^PROTOCOL_VIOLATION: the data of "€€€/);
  });

  it("is answered by the id that it gave, whatever that is, of which the log has the beginning", async () => {
    const call = client.uploadFile();
    const answered = once(call, "data");
    const [uploadId, name] = ["x".repeat(100_000), "n".repeat(100_000)];
    call.write({
      parts: [{ header: { ...header(0), uploadId, name }, offset: 0, data: patterned(0, 0), finish: noFacts }],
    });
    const [{ events }] = (await answered) as [{ events: UploadEvent[] }];
    assert.equal(events[0]?.uploadId, uploadId);
    const ended = once(call, "end");
    call.end();
    await ended;
    const [told] = noted;
    assert.ok(told?.kind === "not-admitted");
    assert.deepEqual([told.uploadId.length, told.name.length], [201, 201]);
  });
});
