import assert from "node:assert/strict";
import { RefuseReason } from "@bilancia/proto/gen/storage";
import { findCollector } from "../collector.js";
import { ContentUnreadable } from "../ports/content.js";
import type { Delivery } from "../ports/outbox.js";
import { chunkAt, describeFile } from "../test-support/queue-fixtures.js";
import { attemptDelivery } from "./attempt.js";
import type { StorageLink } from "./storage-link.js";

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

/** What is in use of the heap, after garbage has been collected. */
function collectedHeap(): () => number {
  const collect = findCollector();
  return () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
}
