import assert from "node:assert/strict";
import type { Occurrence } from "../domain/occurrence.js";
import { Counters, timeBoundsSeconds } from "./counters.js";

const upload = { requestNumber: 1n, uploadId: "0b8f1d9e-7a52-4c1e-9d5c-3f1f3f6a2b10", name: "a.json" };

function stored(tookMs: number): Occurrence {
  const receipt = {
    ...{ ...upload, server: "storage-1", storedName: "1_a.json", sizeBytes: 3 },
    ...{ sha256: new Uint8Array(32), attempts: 1, storedAtMs: 0 },
  };
  return { kind: "stored", upload, receipt, attempt: 1, tookMs };
}

describe("counters", () => {
  it("count a stored file within the least bound that it keeps to, and beyond all of them", () => {
    const counters = new Counters();
    for (const tookMs of [0, 1, 1.1, 100, 3_600_000, 3_600_001]) counters.note(stored(tookMs));
    const within = counters.storedWithin.map((files, at) => [timeBoundsSeconds[at], files]);
    assert.deepEqual(
      within.filter(([, files]) => files !== 0),
      [
        [0.001, 2],
        [0.0025, 1],
        [0.1, 1],
        [3_600, 1],
        [undefined, 1],
      ],
    );
    assert.equal(Math.round(counters.storedSeconds * 1e6), 7_200_103_100);
  });

  it("count what went wrong, by reason and by outcome", () => {
    const counters = new Counters();
    const rejection = { reason: "QUEUE_FULL", message: "full" } as const;
    const failed = { kind: "attempt-failed", upload, server: "storage-1", attempt: 1, message: "" } as const;
    const copy = { kind: "extra-copy", requestNumber: 1n, uploadId: upload.uploadId, server: "storage-1" } as const;
    const occurrences: readonly Occurrence[] = [
      { kind: "not-admitted", uploadId: upload.uploadId, name: "a", client: "c", rejection },
      { kind: "rejected", upload, rejection },
      { kind: "rejected", upload, rejection: { reason: "CANCELLED", message: "" } },
      { ...failed, outcome: "lost", retryInMs: 1 },
      { ...failed, outcome: "lost", retryInMs: undefined },
      { ...failed, outcome: "busy", retryInMs: 1 },
      { ...copy, discarded: true, result: "discarded" },
      { ...copy, discarded: false, result: "not there" },
      { kind: "quarantined", what: "ledger", detail: "" },
      { kind: "fault", where: "here", error: new Error("x") },
    ];
    for (const occurrence of occurrences) counters.note(occurrence);
    assert.deepEqual([...counters.rejected], Object.entries({ QUEUE_FULL: 2, CANCELLED: 1 }));
    assert.deepEqual([...counters.failedAttempts], Object.entries({ lost: 2, busy: 1 }));
    const { discardedCopies, quarantined, faults, endedStreams } = counters;
    assert.deepEqual([discardedCopies, quarantined, faults, endedStreams], [1, 1, 1, 0]);
  });
});
