import assert from "node:assert/strict";
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
    assert.deepEqual(result, { outcome: { kind: "void", pauseMs: 1_000 } });
  });
});
