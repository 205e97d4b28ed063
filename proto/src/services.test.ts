import assert from "node:assert/strict";
import { credentials, Server, type ServerDuplexStream } from "@grpc/grpc-js";
import { Ack, BalancerService, Priority, type UploadFileResponse } from "./gen/bilancia/v1/balancer.js";
import { Kind, type SaveResponse, StorageService } from "./gen/bilancia/v1/storage.js";
import { listen } from "./grpc-server.js";
import {
  BalancerClient,
  balancerService,
  type SaveBatch,
  StorageClient,
  storageService,
  type UploadBatch,
} from "./services.js";

describe("services", () => {
  it("differ from the generated ones in the request codec of one stream each, and in nothing else", () => {
    for (const [ours, theirs, stream] of [
      [balancerService, BalancerService, "uploadFile"],
      [storageService, StorageService, "save"],
    ] as const) {
      assert.deepEqual(Object.keys(ours), Object.keys(theirs));
      for (const [name, method] of Object.entries(theirs)) {
        const { requestSerialize, requestDeserialize, ...rest } = ours[name as keyof typeof ours] as typeof method;
        assert.equal(rest.path, method.path);
        assert.equal(rest.responseSerialize, method.responseSerialize);
        assert.equal(requestSerialize === method.requestSerialize, name !== stream);
        assert.equal(requestDeserialize === method.requestDeserialize, name !== stream);
      }
    }
  });

  it("carry an upload from a client to a server, and a data message on to a storage server as it came", async () => {
    const server = new Server();
    const headers: unknown[] = [];
    const answered = (call: ServerDuplexStream<UploadBatch, UploadFileResponse>) => {
      call.on("data", (batch: UploadBatch) => {
        if (batch.parts[0]?.header) headers.push(batch.parts[0].header);
        else save.write({ parts: [], ...(batch.raw && { raw: batch.raw }) });
      });
      call.on("end", () => save.end());
      save.on("end", () => call.end());
    };
    const received: SaveBatch[] = [];
    server.addService(balancerService, { uploadFile: answered } as never);
    server.addService(storageService, {
      save: (call: ServerDuplexStream<SaveBatch, SaveResponse>) => {
        call.on("data", (batch: SaveBatch) => received.push(batch)).on("end", () => call.end());
      },
    } as never);
    const address = await listen(server, "127.0.0.1:0");
    const storage = new StorageClient(address, credentials.createInsecure());
    const balancer = new BalancerClient(address, credentials.createInsecure());
    const save = storage.save();
    save.resume();
    try {
      const header = {
        uploadId: "",
        name: "a.bin",
        sizeBytes: 5n,
        sha256: undefined,
        contentType: "",
        kind: Kind.KIND_BINARY,
        ack: Ack.ACK_STORED,
        labels: {},
        priority: Priority.PRIORITY_HIGH,
      };
      const upload = balancer.uploadFile();
      upload.write({ parts: [{ header, offset: 0, data: new Uint8Array(0) }] });
      upload.write({ parts: [{ offset: 0, data: Buffer.from("hello"), crc32c: 7 }] });
      upload.end();
      await new Promise((resolve, reject) => upload.on("end", resolve).on("error", reject).resume());
      assert.deepEqual(headers, [header]);
      assert.equal(received.length, 1);
      const [part] = received[0]?.parts ?? [];
      assert.equal(Buffer.from(part?.data ?? []).toString(), "hello");
      assert.equal(part?.crc32c, 7);
    } finally {
      balancer.close();
      storage.close();
      server.forceShutdown();
    }
  });
});
