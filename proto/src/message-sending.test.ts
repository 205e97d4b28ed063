import assert from "node:assert/strict";
import { createRequire } from "node:module";
import type { Duplex } from "node:stream";
import { credentials, Server } from "@grpc/grpc-js";
import { channelOptions, serverOptions } from "./channel-options.js";
import { listen } from "./grpc-server.js";
import { framed, newMessage } from "./message-prefix.js";
import { sendInPlace } from "./message-sending.js";
import { type SaveBatch, StorageClient, storageService } from "./services.js";

interface Filter {
  sendMessage(message: Promise<{ message: Buffer; flags?: number }>): Promise<{ message: Buffer }>;
}

/** What of grpc-js puts prefixes in front of messages. */
function filter(options: object = {}): Filter {
  const { CompressionFilter } = createRequire(import.meta.url)("@grpc/grpc-js/build/src/compression-filter.js");
  return new CompressionFilter(options, {});
}

async function onWire(message: Buffer, options?: object): Promise<Buffer> {
  return (await filter(options).sendMessage(Promise.resolve({ message }))).message;
}

function largeMessage(): Buffer {
  return newMessage(100_000).fill(7);
}

describe("sendInPlace", () => {
  before(() => {
    assert.ok(sendInPlace(), "grpc-js is not as it was: see message-sending.ts");
    assert.ok(sendInPlace());
  });

  it("sends a message that has its prefix in front of it as it lies there", async () => {
    const message = largeMessage();
    assert.equal((await onWire(message)).buffer, message.buffer);
    assert.deepEqual(await onWire(message), await onWire(Buffer.from(message)));
  });

  it("copies one that lies in memory with something else, and compresses where that is asked for", async () => {
    const part = largeMessage().subarray(0, 50_000);
    const sent = await onWire(part);
    assert.notEqual(sent.buffer, part.buffer);
    assert.deepEqual([sent.readUInt32BE(1), sent.subarray(5)], [50_000, part]);
    const compressed = await onWire(largeMessage(), { "grpc.default_compression_algorithm": 2 });
    assert.ok(compressed[0] === 1 && compressed.length < 1_000);
  });

  it("lets a server receive what was sent, written anew or passed on", async () => {
    const received: SaveBatch[] = [];
    const server = new Server(serverOptions);
    server.addService(storageService, {
      save: (call: Duplex) => call.on("data", (batch) => received.push(batch)).on("end", () => call.end()),
    } as never);
    const address = await listen(server, "127.0.0.1:0");
    const client = new StorageClient(address, credentials.createInsecure(), channelOptions);
    try {
      const stream = client.save();
      const ended = new Promise((resolve) => stream.resume().once("end", resolve));
      const data = Buffer.alloc(200_000, 5);
      stream.write({ parts: [{ offset: 0, data }] });
      stream.write({
        parts: [],
        raw: storageService.save.requestSerialize({ parts: [{ offset: data.length, data }] }),
      });
      stream.write({ parts: [{ offset: 2 * data.length, data: data.subarray(0, 10), finish: {} as never }] });
      stream.end();
      await ended;
      const parts = received.flatMap((batch) => batch.parts);
      assert.deepEqual(
        parts.map(({ offset, data }) => [offset, Buffer.from(data)]),
        [
          [0, data],
          [data.length, data],
          [2 * data.length, data.subarray(0, 10)],
        ],
      );
    } finally {
      client.close();
      server.forceShutdown();
    }
  });
});

describe("newMessage", () => {
  it("takes small ones from Node's pool, without a prefix", () => {
    const message = newMessage(100);
    assert.equal(message.length, 100);
    assert.equal(framed(message), undefined);
  });

  it("gives back nothing as framed whose prefix says something else", () => {
    const message = largeMessage();
    Buffer.from(message.buffer).writeUInt32BE(99_999, 1);
    assert.equal(framed(message), undefined);
  });
});
