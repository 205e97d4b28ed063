import assert from "node:assert/strict";
import { type DiscardRequest, Holding, type StoredFile } from "@bilancia/proto/gen/storage";
import type { Occurrence } from "../domain/occurrence.js";
import type { Outbox, Suspicion } from "../ports/outbox.js";
import { eventually } from "../test-support/eventually.js";
import { ExtraCopies } from "./extra-copies.js";
import type { ServerPool } from "./server-pool.js";

const requestNumber = 7n;
const uploadId = "0cb0d5bc-615f-43b2-b6ce-1892ffba4945";
const lost = { requestNumber, uploadId, server: "storage-2", attempt: 1 };

/** The extra copies of a pool with one server, which says what it holds, and takes down what it is told to discard. */
function watched(suspicions: readonly Suspicion[] = [], held?: Partial<StoredFile>) {
  const discards: DiscardRequest[] = [];
  const found: unknown[] = [];
  const noted: Occurrence[] = [];
  const cleared: unknown[] = [];
  const discard = (
    request: DiscardRequest,
    ...[, , answer]: [unknown, unknown, (error: null, response: object) => void]
  ) => {
    discards.push(request);
    answer(null, { discarded: true });
  };
  const stat = (_: unknown, ...[, , answer]: [unknown, unknown, (error: null, response: object) => void]) =>
    answer(null, { holding: Holding.HOLDING_STORED, file: held });
  const server = {
    backend: { name: "storage-2", health: { kind: "healthy" } },
    link: { storage: { discard, stat } },
    offers: () => true,
  };
  const pool = { get: (name: string) => (name === "storage-2" ? server : undefined) } as unknown as ServerPool;
  const outbox = {
    suspicions: () => suspicions,
    cleared: (...facts: unknown[]) => void cleared.push(facts),
    found: (...facts: unknown[]) => found.push(facts) > 0,
  } as unknown as Outbox;
  const copies = new ExtraCopies(pool, outbox, { origin: "a", term: 3 }, { note: (one) => noted.push(one) });
  return { copies, server, discards, cleared, found, noted };
}

describe("extra copies", () => {
  it("are discarded as of the upload's last attempt: the server may have seen one whose end was never sent", async () => {
    const { copies, discards, cleared } = watched();
    copies.suspect(lost);
    copies.settled({ requestNumber, server: "storage-3", lastAttempt: 3 });
    await eventually("the copy to be settled", () => cleared.length > 0);
    assert.deepEqual(discards, [{ origin: "a", requestNumber, uploadId, term: 3n, attempt: 3 }]);
    assert.deepEqual(cleared, [[requestNumber, "storage-2", 1]]);
    assert.equal(copies.countOn("storage-2"), 0);
  });

  it("of an earlier run are discarded as of the attempt that is known, since the term is another one", async () => {
    const { copies, server, discards } = watched([{ ...lost, rests: { server: "storage-3" } }]);
    copies.returned(server as unknown as Parameters<typeof copies.returned>[0]);
    await eventually("the copy to be discarded", () => discards.length > 0);
    assert.deepEqual(discards, [{ origin: "a", requestNumber, uploadId, term: 3n, attempt: 1 }]);
  });

  it("are none where the upload has come to rest on that server", async () => {
    const { copies, discards, cleared } = watched();
    copies.suspect(lost);
    copies.settled({ requestNumber, server: "storage-2", lastAttempt: 2 });
    await eventually("the suspicion to be settled", () => cleared.length > 0);
    assert.deepEqual(discards, []);
  });

  it("are taken for the outcome of an upload whose bytes are gone, but not what cannot be so", async () => {
    const said = { uploadId, storedName: "7_a", sizeBytes: 5n, sha256: Buffer.alloc(32) };
    for (const [sha256Bytes, isTaken] of [[32, true] as const, [300_000, false] as const]) {
      const held = { ...said, sha256: Buffer.alloc(sha256Bytes) };
      const { copies, server, cleared, found, noted } = watched([{ ...lost, bytesGone: true }], held);
      copies.returned(server as unknown as Parameters<typeof copies.returned>[0]);
      await eventually("the suspicion to be settled", () => cleared.length > 0);
      assert.equal(found.length === 1, isTaken);
      const [told] = noted;
      assert.ok(told?.kind === "extra-copy");
      assert.match(told.result, isTaken ? /^found stored$/ : /^none found: the server reports a SHA-256 of 300000/);
    }
  });
});
