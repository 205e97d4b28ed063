import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Stream, connect, type IncomingHttpHeaders } from "node:http2";
import type { Duplex } from "node:stream";
import { gzipSync } from "node:zlib";
import { Server, type ServiceDefinition, status } from "@grpc/grpc-js";
import fc from "fast-check";
import { serverOptions } from "./channel-options.js";
import { listen } from "./grpc-server.js";
import { maxMessageBytes } from "./limits.js";
import { assembleInPlace } from "./message-assembly.js";
import { framed } from "./message-prefix.js";

const asItIs = (bytes: Buffer) => bytes;
const service: ServiceDefinition = {
  send: {
    ...{ path: "/test.Test/Send", requestStream: true, responseStream: true },
    ...{ requestSerialize: asItIs, requestDeserialize: asItIs, responseSerialize: asItIs, responseDeserialize: asItIs },
  },
};

interface Received {
  readonly messages: Buffer[];
  readonly status: string | undefined;
}

/** A server with one method, and a bare HTTP/2 connection to it: what is written there is cut as the test likes. */
class TestServer {
  readonly #isInPlace: boolean;
  readonly #server = new Server(serverOptions);
  #address = "";
  #calls: Buffer[][] = [];

  constructor(isInPlace: boolean) {
    this.#isInPlace = isInPlace;
  }

  async start(): Promise<void> {
    this.#server.addService(service, { send: (call: Duplex) => this.#serve(call) } as never);
    this.#address = await listen(this.#server, "127.0.0.1:0");
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  /** Sends what it is given, each piece in a DATA frame of its own, and returns what the server made of it. */
  async receive(pieces: readonly Buffer[]): Promise<Received> {
    const messages: Buffer[] = [];
    this.#calls = [messages];
    const session = connect(`http://${this.#address}`);
    const stream = session.request({
      ...{ ":method": "POST", ":path": "/test.Test/Send", te: "trailers" },
      ...{ "content-type": "application/grpc", "grpc-encoding": "gzip" },
    });
    try {
      const answered = statusOf(stream.resume());
      for (const piece of pieces) await new Promise<void>((resolve) => stream.write(piece, () => resolve()));
      stream.end();
      return { messages, status: await answered };
    } finally {
      session.destroy();
    }
  }

  #serve(call: Duplex): void {
    const messages = this.#calls.shift();
    assert.ok(messages);
    if (this.#isInPlace) assert.ok(assembleInPlace(call), "grpc-js is not as it was: see message-assembly.ts");
    call.on("data", (message: Buffer) => messages.push(message));
    call.on("end", () => call.end());
  }
}

/** The call's status: in the headers where it failed at once, else in the trailers. */
async function statusOf(stream: ClientHttp2Stream): Promise<string | undefined> {
  const found = new Promise<string>((resolve) => {
    const look = (headers: IncomingHttpHeaders) => {
      if (headers["grpc-status"] !== undefined) resolve(String(headers["grpc-status"]));
    };
    stream.on("response", look).on("trailers", look);
  });
  return Promise.race([found, once(stream, "close").then(() => undefined)]);
}

function prefixed(message: Buffer, compressed = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1))), bytes.length].sort((a, b) => a - b);
  return ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end)).filter(({ length }) => length > 0);
}

describe("assembleInPlace", () => {
  const inPlace = new TestServer(true);
  const stock = new TestServer(false);
  before(() => Promise.all([inPlace.start(), stock.start()]));
  after(() => {
    inPlace.stop();
    stock.stop();
  });

  it("puts together what was sent, wherever it was cut (property)", async () => {
    const message = fc.record({
      length: fc.oneof(fc.nat(20), fc.nat(10_000), fc.integer({ min: 60_000, max: 300_000 })),
      filling: fc.nat(255),
      isCompressed: fc.boolean(),
    });
    const sent = fc.record({
      messages: fc.array(message, { maxLength: 6 }),
      cuts: fc.array(fc.nat(), { maxLength: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(sent, async ({ messages, cuts }) => {
        const bodies = messages.map(({ length, filling }) => Buffer.alloc(length, filling));
        const onWire = bodies.map((body, at) =>
          messages[at]?.isCompressed ? prefixed(gzipSync(body), 1) : prefixed(body),
        );
        const received = await inPlace.receive(cut(Buffer.concat(onWire), cuts));
        assert.deepEqual(received, { messages: bodies, status: String(status.OK) });
      }),
      { numRuns: 40 },
    );
  });

  it("gives a large message memory that holds its prefix and nothing else", async () => {
    const message = Buffer.alloc(100_000, 3);
    const { messages } = await inPlace.receive(cut(prefixed(message), [3, 50_000]));
    assert.deepEqual(messages.map(framed), [prefixed(message)]);
  });

  it("refuses a message that is too large as grpc-js does, before it has come", async () => {
    const tooLarge = prefixed(Buffer.alloc(maxMessageBytes + 1)).subarray(0, 10);
    const expected = { messages: [], status: String(status.RESOURCE_EXHAUSTED) };
    assert.deepEqual(await inPlace.receive([tooLarge]), expected);
    assert.deepEqual(await stock.receive([tooLarge]), expected);
  });

  it("leaves alone what is not as expected", () => {
    const calls = [{}, { call: {} }, { call: { decoder: { write: asItIs, readState: 1, maxReadMessageLength: 5 } } }];
    for (const call of calls) {
      const before = structuredClone(Object.keys(call));
      assert.equal(assembleInPlace(call as never), false);
      assert.deepEqual(Object.keys(call), before);
    }
    assert.equal(calls[2]?.call?.decoder?.write, asItIs);
  });
});
