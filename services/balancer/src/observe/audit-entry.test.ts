import assert from "node:assert/strict";
import { chainStart, parseEntry, sealEntry } from "@bilancia/proto/audit-chain";
import { toAuditFacts } from "./audit-entry.js";

const upload = { requestNumber: 2n ** 60n, uploadId: "0b8f1d9e-7a52-4c1e-9d5c-3f1f3f6a2b10", name: "a.json" };
const names = { ...upload, requestNumber: String(2n ** 60n) };

describe("an entry of the audit", () => {
  it("tells of a stored file where, by which attempt, how large and with which digest", () => {
    const receipt = {
      ...{ ...upload, server: "storage-2", storedName: "1_a.json", sizeBytes: 3, sha256: new Uint8Array([1, 255]) },
      ...{ attempts: 2, storedAtMs: 5 },
    };
    assert.deepEqual(toAuditFacts({ kind: "stored", upload, receipt, attempt: 3, tookMs: 4.4 }, 5), {
      ...{ timeMs: 5, kind: "stored", ...names, server: "storage-2", attempt: 3, sizeBytes: 3, sha256: "01ff" },
      message: "as 1_a.json after 4 ms",
    });
  });

  it("tells how an attempt ended and what follows, and cuts what a server says", () => {
    const failed = { kind: "attempt-failed", upload, server: "storage-1", attempt: 1, outcome: "busy" } as const;
    const message = "x".repeat(5_000);
    const again = toAuditFacts({ ...failed, message, retryInMs: 50.2 }, 5)?.message ?? "";
    assert.match(again, /^busy: x+…; again in 50 ms$/);
    assert.ok(again.length < 1_100);
    assert.equal(toAuditFacts({ ...failed, message: "no room", retryInMs: undefined }, 5)?.message, "busy: no room");
  });

  it("is never longer than what is read as an entry, whatever is in it", () => {
    const long = "\u0001".repeat(1_000_000);
    const receipt = {
      ...{ ...upload, server: long, storedName: long, sizeBytes: 3, sha256: new Uint8Array(1_000_000) },
      ...{ attempts: 2, storedAtMs: 5 },
    };
    const named = { ...upload, uploadId: long, name: long };
    const facts = toAuditFacts({ kind: "stored", upload: named, receipt, attempt: 3, tookMs: 4.4 }, 5);
    assert.ok(facts);
    const { line } = sealEntry({ ...facts, client: facts.name }, chainStart);
    assert.equal(parseEntry(Buffer.from(line)).kind, "entry");
    assert.equal(facts.sizeBytes, 3);
  });

  it("tells of a file that comes whether it is urgent, and where it is gone on with", () => {
    const received = { kind: "received", upload, client: "c" } as const;
    const message = (resumedAtBytes: number, priority?: "high") =>
      toAuditFacts({ ...received, resumedAtBytes, priority }, 5)?.message;
    assert.deepEqual(
      [message(0), message(7), message(0, "high"), message(7, "high")],
      [undefined, "resumed at byte 7", "high priority", "high priority; resumed at byte 7"],
    );
  });

  it("leaves out what is not about a file with a number", () => {
    assert.equal(toAuditFacts({ kind: "fault", where: "here", error: new Error("x") }, 5), undefined);
    const rejection = { reason: "QUEUE_FULL", message: "full" } as const;
    assert.equal(toAuditFacts({ kind: "not-admitted", uploadId: "", name: "", client: "", rejection }, 5), undefined);
    assert.deepEqual(toAuditFacts({ kind: "rejected", upload, rejection }, 5), {
      ...{ timeMs: 5, kind: "dead", ...names, message: "QUEUE_FULL: full" },
    });
  });

  it("tells a copy that was removed from one that was not there", () => {
    const copy = { kind: "extra-copy", requestNumber: 7n, uploadId: upload.uploadId, server: "storage-1" } as const;
    assert.equal(toAuditFacts({ ...copy, discarded: true, result: "discarded" }, 5)?.kind, "discarded");
    assert.equal(toAuditFacts({ ...copy, discarded: false, result: "none found" }, 5)?.kind, "checked");
  });

  it("tells who claimed a file, and how that ended", () => {
    const claim = { upload, server: "storage-1" };
    const entry = { timeMs: 5, ...names, server: "storage-1" };
    assert.deepEqual(toAuditFacts({ kind: "claimed", ...claim }, 5), { ...entry, kind: "claimed" });
    assert.deepEqual(toAuditFacts({ kind: "claim-ended", ...claim, end: "lost" }, 5), {
      ...{ ...entry, kind: "claim-ended", message: "given back: the server's answer was lost" },
    });
  });
});
