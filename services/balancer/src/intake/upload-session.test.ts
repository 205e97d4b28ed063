import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Ack, Priority, type UploadEvent, type UploadHeader } from "@bilancia/proto/gen/balancer";
import { Kind } from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import { BalancerClient, balancerService } from "@bilancia/proto/services";
import { credentials, Server, type ServiceError, status } from "@grpc/grpc-js";
import { eventually } from "../test-support/eventually.js";
import { saved } from "../test-support/queue-bench.js";
import { describeFile, patterned } from "../test-support/queue-fixtures.js";
import { openTestQueue, type TestQueue } from "../test-support/test-queue.js";
import { UploadService } from "./upload-service.js";

const clock = { nowMs: Date.now, random: Math.random };

function describedHeader(sizeBytes: number): UploadHeader {
  const { uploadId, name, labels } = describeFile();
  const rest = { sha256: undefined, contentType: "", kind: Kind.KIND_BINARY, ack: Ack.ACK_STORED, labels };
  const priority = Priority.PRIORITY_UNSPECIFIED;
  return { uploadId, name, sizeBytes: BigInt(sizeBytes), priority, ...rest };
}

describe("an upload stream", () => {
  let folder: string;
  /** What the session has told its observer of. */
  let noted = 0;
  let opened: TestQueue;
  let server: Server;
  let client: BalancerClient;
  let address: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-session-"));
    opened = await openTestQueue(folder);
    const { queue } = opened;
    noted = 0;
    const note = () => {
      noted += 1;
    };
    const service = new UploadService(queue, queue, { note }, clock);
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
    const partBytes = 200_000;
    const part = (index: number) => ({ offset: index * partBytes, data: patterned(index * partBytes, partBytes) });
    call.write({ parts: [{ header: describedHeader(4 * partBytes), ...part(0) }] });
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
      parts: [{ header: describedHeader(partBytes), ...part(0), finish: { sizeBytes: undefined, sha256: undefined } }],
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
    const unnamed = { header: { ...describedHeader(0), name: "" }, offset: 0, data: patterned(0, 0) };
    const message = balancerService.uploadFile.requestSerialize({ parts: Array.from({ length: 64 }, () => unnamed) });
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    const messageCount = 1_000;
    for (let at = 0; at < messageCount; at++) call.write(Buffer.concat([prefix, message]));
    const heldUp = async () => {
      const before = noted;
      await delay(300);
      return noted === before && noted > 0;
    };
    await Promise.race([eventually("nothing more is read", heldUp), failed]);
    assert.ok(noted < 5_000, `${noted} events are in memory`);
    session.settings({ initialWindowSize: 2 ** 30 });
    session.setLocalWindowSize(2 ** 30);
    call.resume();
    await Promise.race([eventually("all of it is read", () => noted === messageCount * 64), failed]);
    session.destroy();
  });

  it("is told what was wrong, however long the name of the file", async () => {
    const call = client.uploadFile();
    const failed = new Promise<ServiceError>((resolve) => call.on("error", resolve));
    call.on("data", () => {});
    const ends = { ...describedHeader(9), name: "€".repeat(300_000) };
    call.write({ parts: [{ header: ends, offset: 0, data: patterned(0, 1) }] });
    call.write({ parts: [{ offset: 5, data: patterned(5, 1) }] });
    const { code, details } = await failed;
    assert.equal(code, status.INVALID_ARGUMENT);
    assert.match(details, /^PROTOCOL_VIOLATION: the data of "€€€/);
  });
});
