import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { SaveResponse } from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import { maxMessageBytes } from "@bilancia/proto/limits";
import { type SaveBatch, storageService } from "@bilancia/proto/services";
import { Server, type ServerDuplexStream, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { closedLoop, once } from "./closed-loop.js";
import { type Contender, oneCallPerFile, overStreams } from "./contender.js";
import { makePayload, makePayloads } from "./payload.js";
import { storageDialect } from "./storage-dialect.js";

/** A storage server that keeps nothing, and can be made to answer wrongly. */
class FakeStorage {
  readonly server = new Server({ "grpc.max_receive_message_length": maxMessageBytes });
  callsCount = 0;
  alter = (sha256: Buffer): Buffer => sha256;

  start(): Promise<string> {
    const save = (call: ServerDuplexStream<SaveBatch, SaveResponse>) => this.#save(call);
    this.server.addService(storageService, { save } as unknown as UntypedServiceImplementation);
    return listen(this.server, "127.0.0.1:0");
  }

  #save(call: ServerDuplexStream<SaveBatch, SaveResponse>): void {
    this.callsCount++;
    let requestNumber = 0n;
    let hash = createHash("sha256");
    let sizeBytes = 0;
    call.on("data", ({ parts }: SaveBatch) => {
      for (const { header, data, offset, finish } of parts) {
        if (header) {
          requestNumber = header.requestNumber;
          hash = createHash("sha256");
          sizeBytes = 0;
        }
        assert.equal(offset, sizeBytes);
        hash.update(data);
        sizeBytes += data.length;
        if (!finish) continue;
        const digest = { sizeBytes: BigInt(sizeBytes), sha256: this.alter(hash.digest()) };
        const value = { ...digest, storedName: "x", duplicate: false, textStats: undefined };
        call.write({ results: [{ requestNumber, outcome: { $case: "saved", value } }], overloaded: false });
      }
    });
    call.on("end", () => call.end());
  }
}

describe("the load engine", () => {
  let storage: FakeStorage;
  let contender: Contender | undefined;
  let address: string;
  beforeEach(async () => {
    storage = new FakeStorage();
    address = await storage.start();
  });
  afterEach(async () => {
    await contender?.close();
    contender = undefined;
    storage.server.forceShutdown();
  });

  it("sends small and large files over streams that stay open", async () => {
    contender = overStreams("streams", storageDialect(address, "a"), 2);
    const payloads = [...makePayloads(50, 1_000), makePayload(0)];
    const { filesCount, bytes, files } = await closedLoop(contender, { concurrency: 8, next: once(payloads) });
    assert.deepEqual([filesCount, bytes, files.length], [51, 50_000, 51]);
    await contender.send(1, makePayload(3_000_000));
    assert.equal(storage.callsCount, 2);
  });

  it("sends each file with a call of its own", async () => {
    contender = oneCallPerFile("calls", storageDialect(address, "a"));
    const payloads = [makePayload(10), makePayload(700_000), makePayload(0)];
    await closedLoop(contender, { concurrency: 2, next: once(payloads) });
    assert.equal(storage.callsCount, 3);
  });

  it("fails when other bytes are stored than were sent", async () => {
    storage.alter = () => Buffer.alloc(32);
    contender = overStreams("streams", storageDialect(address, "a"), 1);
    const load = closedLoop(contender, { concurrency: 1, next: once([makePayload(10)]) });
    await assert.rejects(load, /streams: other bytes are stored than were sent/);
  });

  it("fails when the server goes away", async () => {
    storage.alter = (sha256) => {
      storage.server.forceShutdown();
      return sha256;
    };
    contender = overStreams("streams", storageDialect(address, "a"), 1);
    const load = closedLoop(contender, { concurrency: 1, next: once([makePayload(10), makePayload(700_000)]) });
    await assert.rejects(load, /^Error: streams: /);
  });
});
