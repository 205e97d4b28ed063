import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { RefuseReason, type SaveResponse } from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import { type SaveBatch, storageService } from "@bilancia/proto/services";
import { eventually } from "@bilancia/proto/testing/eventually";
import { Server, type ServerDuplexStream } from "@grpc/grpc-js";
import { findCollector } from "../collector.js";
import { type Content, ContentUnreadable } from "../ports/content.js";
import type { Delivery } from "../ports/outbox.js";
import { chunkAt, describeFile } from "../test-support/queue-fixtures.js";
import { type AttemptResult, attemptDelivery } from "./attempt.js";
import { StorageLink } from "./storage-link.js";

describe("an attempt", () => {
  it("sends nothing, and counts for nothing, when it cannot be recorded which server may hold the file", async () => {
    const delivery = {
      requestNumber: 1n,
      description: describeFile(),
      whole: () => chunkAt(0, 5),
      intend: () => Promise.reject(new Error("the disk is full")),
    } as unknown as Delivery;
    // It has no method: a use of it would fail the attempt as `lost`.
    const link = { shared: {} } as unknown as StorageLink;
    const clock = { nowMs: () => 0, random: () => 0 };
    const result = await attemptDelivery(delivery, 1, link, { origin: "", term: 1 }, clock);
    assert.deepEqual(result, { outcome: { kind: "void", pauseMs: 0 } });
  });

  it("blames no server where the file cannot be read", async () => {
    const clock = { nowMs: () => 0, random: () => 0 };
    const fail = () => Promise.reject(new ContentUnreadable("EMFILE"));
    const reader = { next: fail, close: () => {} };
    const stream = { expect: () => new Promise(() => {}), push: () => false, cancel: () => {} };
    const link = { open: () => stream } as unknown as StorageLink;
    for (const whole of [fail, () => undefined]) {
      const delivery = { requestNumber: 1n, description: describeFile(), whole, read: () => reader };
      const result = await attemptDelivery(delivery as unknown as Delivery, 1, link, { origin: "", term: 1 }, clock);
      assert.deepEqual(result, { outcome: { kind: "void", pauseMs: 1_000 } });
    }
  });

  it("ends with an answer that comes while the stream takes nothing more", async () => {
    const refused = { kind: "refused", reason: RefuseReason.REFUSE_REASON_NO_SPACE, message: "full" } as const;
    const reader = { next: () => ({ kind: "chunk", chunk: chunkAt(0, 1) }), close: () => {} };
    const delivery = { requestNumber: 1n, description: describeFile(), whole: () => undefined, read: () => reader };
    const stream = {
      expect: () => new Promise((resolve) => setTimeout(resolve, 10, refused)),
      push: () => false,
      ready: () => new Promise(() => {}),
      cancel: () => {},
    };
    const link = { open: () => stream } as unknown as StorageLink;
    const clock = { nowMs: () => 0, random: () => 0 };
    const result = await attemptDelivery(delivery as unknown as Delivery, 1, link, { origin: "", term: 1 }, clock);
    assert.deepEqual(result.outcome, refused);
  });

  it("keeps nothing of the chunks that it has sent, however often it had to wait for the stream", async () => {
    const chunksCount = 100_000;
    const heapUsed = collectedHeap();
    const before = heapUsed();
    let grown = 0;
    let left = chunksCount;
    const reader = {
      next: () => {
        if (left-- > 0) return { kind: "chunk", chunk: chunkAt(0, 1) };
        grown = heapUsed() - before;
        return { kind: "broken", message: "that was all" };
      },
      close: () => {},
    };
    const delivery = { requestNumber: 1n, description: describeFile(), whole: () => undefined, read: () => reader };
    const stream = { expect: () => new Promise(() => {}), push: () => false, ready: async () => {}, cancel: () => {} };
    const link = { open: () => stream } as unknown as StorageLink;
    const clock = { nowMs: () => 0, random: () => 0 };
    await attemptDelivery(delivery as unknown as Delivery, 1, link, { origin: "", term: 1 }, clock);
    assert.ok(grown < 100 * chunksCount, `${grown} bytes were kept of ${chunksCount} chunks`);
  });
});

describe("a small file whose server is late", () => {
  type Call = ServerDuplexStream<SaveBatch, SaveResponse>;
  type Outcome = SaveResponse["results"][number]["outcome"];
  const busy: Outcome = { $case: "busy", value: { retryAfter: undefined } };
  const saved: Outcome = {
    $case: "saved",
    value: { storedName: "a", sizeBytes: 5n, sha256: new Uint8Array(32), duplicate: false, textStats: undefined },
  };
  let server: Server;
  let link: StorageLink;
  /** The streams that the server has seen, each with the files that came on it. */
  let streams: { call: Call; files: bigint[] }[];

  beforeEach(async () => {
    streams = [];
    server = new Server();
    const save = (call: Call) => {
      const stream = { call, files: [] as bigint[] };
      streams.push(stream);
      call.on("error", () => {});
      call.on("data", ({ parts }: SaveBatch) => {
        for (const { header } of parts) if (header) stream.files.push(header.requestNumber);
      });
    };
    server.addService(storageService, { save } as never);
    link = new StorageLink(await listen(server, "127.0.0.1:0"), { overloaded: () => {}, broken: () => {} });
  });
  afterEach(() => {
    link.close();
    server.forceShutdown();
  });

  const answer = (stream: number, requestNumber: bigint, outcome: Outcome) =>
    streams[stream]?.call.write({ results: [{ requestNumber, outcome }], overloaded: false });
  const cameOn = (stream: number, requestNumber: bigint) =>
    eventually(
      `file ${requestNumber} on stream ${stream}`,
      () => streams[stream]?.files.includes(requestNumber) ?? false,
    );

  function attempt(requestNumber: bigint, intent?: Promise<void>): Promise<string> {
    const delivery = { requestNumber, description: describeFile(), whole: () => chunkAt(0, 5), intend: () => intent };
    const clock = { nowMs: () => 0, random: () => 0 };
    const result = attemptDelivery(delivery as unknown as Delivery, 1, link, { origin: "", term: 1 }, clock);
    return result.then(({ outcome }) => outcome.kind);
  }

  /** Has the first answer on the first stream given up, while one to another file is awaited there. */
  async function giveUp(): Promise<{ other: Promise<string> }> {
    const first = attempt(1n);
    await cameOn(0, 1n);
    const betweenMs = performance.now();
    await delay(100);
    const other = attempt(2n);
    await cameOn(0, 2n);
    // However slow the machine is, only the first is as old as that.
    link.expire(performance.now() - betweenMs);
    assert.equal(await first, "lost");
    return { other };
  }

  it("is not answered by what comes of an earlier attempt at last; other files are, where they went", async () => {
    const { other } = await giveUp();
    const again = attempt(1n);
    await cameOn(1, 1n);
    answer(0, 1n, busy);
    answer(0, 2n, saved);
    assert.equal(await other, "saved");
    answer(1, 1n, saved);
    assert.equal(await again, "saved");
  });

  it("goes out on a stream that takes it, although its intent was being written when the other one was given up", async () => {
    let written: () => void = () => {};
    const late = attempt(3n, new Promise((resolve) => (written = resolve)));
    await giveUp();
    const next = attempt(4n);
    await cameOn(1, 4n);
    written();
    await cameOn(1, 3n);
    answer(1, 3n, saved);
    answer(1, 4n, saved);
    assert.deepEqual(await Promise.all([late, next]), ["saved", "saved"]);
  });

  it("leaves no stream open on which nothing is awaited any more", async () => {
    const { other } = await giveUp();
    const next = attempt(3n);
    await cameOn(1, 3n);
    const closed = new Promise((resolve) => streams[0]?.call.once("cancelled", resolve));
    answer(0, 2n, saved);
    assert.equal(await other, "saved");
    link.expire(60_000);
    await closed;
    answer(1, 3n, saved);
    assert.equal(await next, "saved");
  });
});

describe("a large file that goes to a server", () => {
  const timeoutMs = 400;
  const chunkBytes = 200_000;

  /** Sends a file of so many chunks over a connection, each when it is there, to a server that takes what comes in its way. */
  async function send(
    chunksCount: number,
    client: (at: number) => Promise<unknown> | undefined,
    take: (call: ServerDuplexStream<SaveBatch, SaveResponse>) => void,
  ): Promise<AttemptResult> {
    const server = new Server();
    const save = (call: ServerDuplexStream<SaveBatch, SaveResponse>) => take(call.on("error", () => {}));
    server.addService(storageService, { save } as never);
    const link = new StorageLink(await listen(server, "127.0.0.1:0"), { overloaded: () => {}, broken: () => {} });
    const looking = setInterval(() => link.expire(timeoutMs), 20);
    let at = 0;
    const reader = {
      next: async (): Promise<Content> => {
        await client(at);
        if (at === chunksCount) return { kind: "end", sizeBytes: at * chunkBytes, sha256: undefined };
        return { kind: "chunk", chunk: chunkAt(at++ * chunkBytes, chunkBytes) };
      },
      close: () => {},
    };
    const delivery = {
      requestNumber: 1n,
      description: describeFile(),
      whole: () => undefined,
      read: () => reader,
      intend: () => undefined,
    };
    const clock = { nowMs: () => performance.now(), random: () => 0 };
    try {
      return await attemptDelivery(delivery as unknown as Delivery, 1, link, { origin: "", term: 1 }, clock);
    } finally {
      clearInterval(looking);
      link.close();
      server.forceShutdown();
    }
  }

  /** Takes the parts of a file, one after another, and says at its end that it is saved. */
  const takeEach = (pause: () => Promise<unknown> | undefined) => async (call: AsyncIterable<SaveBatch>) => {
    for await (const { parts } of call) {
      await pause();
      if (!parts.some(({ finish }) => finish)) continue;
      const value = { storedName: "1_", sizeBytes: 1n, sha256: Buffer.alloc(32), duplicate: false };
      const results = [{ requestNumber: 1n, outcome: { $case: "saved", value } }];
      (call as unknown as ServerDuplexStream<SaveBatch, unknown>).write({ results, overloaded: false });
    }
  };

  it("is lost when the server takes nothing of it for as long as an answer may take, and goes elsewhere", async () => {
    const result = await send(
      1_000,
      () => undefined,
      () => {},
    );
    assert.deepEqual(result, {
      outcome: { kind: "lost", message: `nothing was taken within ${timeoutMs} ms` },
      finishSentMs: undefined,
    });
  });

  it("waits for its client however long that takes", async () => {
    const result = await send(
      3,
      (at) => (at === 2 ? delay(2.5 * timeoutMs) : undefined),
      takeEach(() => undefined),
    );
    assert.ok(result.outcome.kind === "saved" && !result.outcome.early);
  });

  it("is told of a server that says saved before it has had the end of it", async () => {
    const value = { storedName: "1_", sizeBytes: 1n, sha256: Buffer.alloc(32), duplicate: false, textStats: undefined };
    const results: SaveResponse["results"] = [{ requestNumber: 1n, outcome: { $case: "saved", value } }];
    const result = await send(
      3,
      (at) => (at === 2 ? delay(timeoutMs) : undefined),
      (call) => call.once("data", () => call.write({ results, overloaded: false })).on("data", () => {}),
    );
    assert.ok(result.outcome.kind === "saved" && result.outcome.early);
    assert.equal(result.finishSentMs, undefined);
  });

  it("waits for a server that is slow, as long as it takes something in that time", async () => {
    let slowCount = 30;
    const result = await send(
      40,
      () => undefined,
      takeEach(() => (slowCount-- > 0 ? delay(25) : undefined)),
    );
    assert.ok(
      result.outcome.kind === "saved",
      "message" in result.outcome ? result.outcome.message : result.outcome.kind,
    );
  });
});

/** What is in use of the heap, after garbage has been collected. */
function collectedHeap(): () => number {
  const collect = findCollector();
  return () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
}
