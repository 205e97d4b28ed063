import assert from "node:assert/strict";
import { type DiscardRequest, Holding, type StatResponse, StoredFile } from "@bilancia/proto/gen/storage";
import { eventually } from "@bilancia/proto/testing/eventually";
import { status } from "@grpc/grpc-js";
import type { Occurrence } from "../domain/occurrence.js";
import type { Outbox, Suspicion } from "../ports/outbox.js";
import { ExtraCopies } from "./extra-copies.js";
import type { ServerPool } from "./server-pool.js";

const requestNumber = 7n;
const uploadId = "0cb0d5bc-615f-43b2-b6ce-1892ffba4945";
const lost = { requestNumber, uploadId, server: "storage-2", attempt: 1 };

/**
 * The extra copies of a pool with one server, which takes down what it is told to discard.
 *
 * @param held what it says of the file, besides its upload's id. Default: that it has none
 * @param fails the uploads of which it cannot say whether it has them. Default: none
 */
function watched(
  suspicions: readonly Suspicion[] = [],
  held?: Partial<StoredFile>,
  fails: (requestNumber: bigint) => boolean = () => false,
) {
  const discards: DiscardRequest[] = [];
  const found: unknown[] = [];
  const noted: Occurrence[] = [];
  const cleared: unknown[] = [];
  const discard = (
    request: DiscardRequest,
    ...[, , answer]: [unknown, unknown, (error: object | null, response?: object) => void]
  ) => {
    discards.push(request);
    if (fails(request.requestNumber)) answer({ code: status.INTERNAL, details: "a fault" });
    else answer(null, { discarded: true });
  };
  const stat = (...[, , , answer]: [unknown, unknown, unknown, (error: null, response: StatResponse) => void]) => {
    const file = held && StoredFile.fromPartial({ uploadId, ...held });
    answer(null, { holding: file ? Holding.HOLDING_STORED : Holding.HOLDING_NONE, file });
  };
  const server = {
    backend: { name: "storage-2", health: { kind: "healthy" } },
    link: { storage: { discard, stat } },
    offers: () => true,
  };
  const pool = { get: (name: string) => (name === "storage-2" ? server : undefined) } as unknown as ServerPool;
  const outbox = {
    suspicions: () => suspicions,
    cleared: (...facts: unknown[]) => void cleared.push(facts),
    found: (...facts: unknown[]) => {
      found.push(facts);
      return "taken";
    },
  } as unknown as Outbox;
  const copies = new ExtraCopies(pool, outbox, { origin: "a", term: 3 }, { note: (one) => noted.push(one) });
  return { copies, server, discards, cleared, found, noted };
}

describe("extra copies", () => {
  it("are discarded as of the last attempt that did not store the file: the server may have seen one whose end was never sent", async () => {
    const { copies, discards, cleared } = watched();
    copies.suspect(lost);
    copies.settled({ requestNumber, server: "storage-3", mark: { lastOther: { term: 3, attempt: 2 } } });
    await eventually("the copy to be settled", () => cleared.length > 0);
    assert.deepEqual(discards, [{ origin: "a", requestNumber, uploadId, term: 3n, attempt: 2 }]);
    assert.deepEqual(cleared, [[requestNumber, "storage-2", 1]]);
    assert.equal(copies.countOn("storage-2"), 0);
  });

  it("of an earlier run are discarded as of its term: the server may be the one that has the file, under another address", async () => {
    const { copies, server, discards } = watched([
      { ...lost, rests: { server: "storage-3", mark: { lastOther: { term: 2, attempt: 2 } } } },
    ]);
    copies.returned(server as unknown as Parameters<typeof copies.returned>[0]);
    await eventually("the copy to be discarded", () => discards.length > 0);
    assert.deepEqual(discards, [{ origin: "a", requestNumber, uploadId, term: 2n, attempt: 2 }]);
  });

  it("are discarded although there are many of which the server can never say whether it has them", async () => {
    const suspicions = Array.from({ length: 100 }, (_, index) => ({
      ...{ ...lost, requestNumber: BigInt(index + 1) },
      rests: { server: "storage-3", mark: { lastOther: { term: 2, attempt: 2 } } },
    }));
    const never = (number: bigint) => number <= 20n || number % 2n === 1n;
    const { copies, server, cleared } = watched(suspicions, undefined, never);
    copies.returned(server as unknown as Parameters<typeof copies.returned>[0]);
    await eventually("all others to be settled", () => cleared.length === 40, 10_000);
    assert.equal(copies.countOn("storage-2"), 60);
  });

  it("are none where the upload has come to rest on that server", async () => {
    const { copies, discards, cleared } = watched();
    copies.suspect(lost);
    copies.settled({ requestNumber, server: "storage-2", mark: { lastOther: { term: 3, attempt: 1 } } });
    await eventually("the suspicion to be settled", () => cleared.length > 0);
    assert.deepEqual(discards, []);
  });

  for (const [what, held, expected] of [
    ["is the copy that was found, under another address of its server", { term: 1n, attempt: 1 }, []],
    ["is another one", { term: 1n, attempt: 2 }, [{ origin: "a", requestNumber, uploadId, term: 3n, attempt: 2 }]],
    ["is not there yet", undefined, [{ origin: "a", requestNumber, uploadId, term: 3n, attempt: 2 }]],
  ] as const)
    it(`of an upload that was found on a server: a copy that ${what}, is ${expected.length > 0 ? "discarded" : "kept"}`, async () => {
      const rests = { server: "storage-3", mark: { storedBy: { term: 1, attempt: 1 } } };
      const { copies, server, discards, cleared } = watched([{ ...lost, attempt: 2, rests }], held);
      copies.returned(server as unknown as Parameters<typeof copies.returned>[0]);
      await eventually("the suspicion to be settled", () => cleared.length > 0);
      assert.deepEqual(discards, expected);
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
