import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { RefuseReason, type SaveResponse } from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import { type SaveBatch, storageService } from "@bilancia/proto/services";
import { Server, type ServerDuplexStream } from "@grpc/grpc-js";
import { findCollector } from "../collector.js";
import { type Content, ContentUnreadable } from "../ports/content.js";
import type { Delivery } from "../ports/outbox.js";
import { eventually } from "../test-support/eventually.js";
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
  it("is not answered by what comes of an earlier attempt at last", async () => {
    const server = new Server();
    const calls: ServerDuplexStream<SaveBatch, SaveResponse>[] = [];
    const answer = (index: number, outcome: SaveResponse["results"][number]["outcome"]) =>
      calls[index]?.write({ results: [{ requestNumber: 1n, outcome }], overloaded: false });
    const save = (call: ServerDuplexStream<SaveBatch, SaveResponse>) => {
      calls.push(call);
      call.on("error", () => {});
      call.on("end", () => calls.indexOf(call) > 0 && call.end());
      call.on("data", () => {
        // The first one is answered when the file has come again.
        if (calls.length > 1) answer(0, { $case: "busy", value: { retryAfter: undefined } });
      });
    };
    server.addService(storageService, { save } as never);
    const link = new StorageLink(await listen(server, "127.0.0.1:0"), { overloaded: () => {}, broken: () => {} });
    try {
      const delivery = {
        ...{ requestNumber: 1n, description: describeFile(), whole: () => chunkAt(0, 5), intend: () => undefined },
      } as unknown as Delivery;
      const clock = { nowMs: () => 0, random: () => 0 };
      const attempt = (number: number) => attemptDelivery(delivery, number, link, { origin: "", term: 1 }, clock);
      const first = attempt(1);
      await eventually("the file to be there", () => calls.length === 1);
      await eventually("its answer to be given up", async () => {
        link.expire(20);
        return (await Promise.race([first, delay(1)])) !== undefined;
      });
      assert.equal((await first).outcome.kind, "lost");
      const second = attempt(2);
      await eventually("the file to be there again", () => calls.length === 2);
      // Time enough for the late answer to come.
      await delay(50);
      const saved = {
        storedName: "1_a.bin",
        sizeBytes: 5n,
        sha256: new Uint8Array(32),
        duplicate: false,
        textStats: undefined,
      };
      answer(1, { $case: "saved", value: saved });
      assert.equal((await second).outcome.kind, "saved");
    } finally {
      link.close();
      server.forceShutdown();
    }
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
    assert.equal(result.outcome.kind, "saved");
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
