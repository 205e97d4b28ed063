import assert from "node:assert/strict";
import {
  descriptionConflict,
  isFinal,
  nextUploadState,
  type Receipt,
  sameBytes,
  type UploadChange,
  type UploadDescription,
  type UploadState,
} from "./upload.js";

const receipt: Receipt = {
  requestNumber: 7n,
  uploadId: "6f1c2a90-3f1e-4f6e-9c0a-1b2c3d4e5f60",
  name: "a.bin",
  server: "storage-1",
  storedName: "7_a.bin",
  sizeBytes: 5,
  sha256: new Uint8Array(32),
  attempts: 1,
  storedAtMs: 9,
};
const rejection = { reason: "CANCELLED", message: "cancelled" } as const;

const states: UploadState[] = [
  { kind: "receiving" },
  { kind: "queued" },
  { kind: "dispatching" },
  { kind: "stored", receipt },
  { kind: "dead", rejection },
];
const changes: Record<string, UploadChange> = {
  completed: { kind: "completed", underway: false },
  "completed underway": { kind: "completed", underway: true },
  dispatched: { kind: "dispatched" },
  requeued: { kind: "requeued" },
  "bytes lost": { kind: "bytes-lost" },
  saved: { kind: "saved", receipt },
  rejected: { kind: "rejected", rejection },
  revived: { kind: "revived" },
  discarded: { kind: "discarded" },
};
/** Everything that is allowed; all else throws. */
const allowed: Record<string, UploadState["kind"]> = {
  "receiving, completed": "queued",
  "receiving, completed underway": "dispatching",
  "receiving, rejected": "dead",
  "queued, dispatched": "dispatching",
  "queued, bytes lost": "receiving",
  "queued, rejected": "dead",
  "dispatching, requeued": "queued",
  "dispatching, bytes lost": "receiving",
  "dispatching, saved": "stored",
  "dispatching, rejected": "dead",
  "dead, revived": "queued",
  "dead, discarded": "dead",
};

describe("upload state", () => {
  for (const state of states) {
    for (const [name, change] of Object.entries(changes)) {
      const next = allowed[`${state.kind}, ${name}`];
      it(`${state.kind}, ${name}: ${next ?? "is a fault"}`, () => {
        if (next !== undefined) assert.equal(nextUploadState(state, change).kind, next);
        else {
          assert.throws(() => nextUploadState(state, change), {
            message: `an upload that is ${state.kind} cannot be ${change.kind}`,
          });
        }
      });
    }
  }

  it("keeps the receipt, and the reason", () => {
    const stored = nextUploadState({ kind: "dispatching" }, { kind: "saved", receipt });
    assert.deepEqual(stored, { kind: "stored", receipt });
    assert.deepEqual(nextUploadState({ kind: "queued" }, { kind: "rejected", rejection }), { kind: "dead", rejection });
  });

  it("keeps the reason of what is discarded, and says that it was", () => {
    assert.deepEqual(nextUploadState({ kind: "dead", rejection }, { kind: "discarded" }), {
      kind: "dead",
      rejection: { reason: "CANCELLED", message: "cancelled; discarded by an operator" },
    });
  });

  it("is final when stored or dead", () => {
    assert.deepEqual(states.map(isFinal), [false, false, false, true, true]);
  });
});

describe("descriptionConflict", () => {
  const first: UploadDescription = {
    uploadId: receipt.uploadId,
    name: "a.bin",
    sizeBytes: 5,
    sha256: new Uint8Array(32).fill(1),
    contentType: "text/plain",
    kind: "binary",
    ack: "stored",
    labels: { room: "1" },
  };

  for (const [what, changed] of [
    ["nothing", {}],
    ["the size left open", { sizeBytes: undefined }],
    ["the digest left open", { sha256: undefined }],
    ["another content type", { contentType: "" }],
    ["other labels", { labels: {} }],
    ["another priority", { priority: "high" }],
  ] as [string, Partial<UploadDescription>][]) {
    it(`has nothing against ${what}, either way round`, () => {
      assert.equal(descriptionConflict(first, { ...first, ...changed }), undefined);
      assert.equal(descriptionConflict({ ...first, ...changed }, first), undefined);
    });
  }

  for (const [changed, words] of [
    [{ name: "b.bin" }, 'the name was "a.bin" and is "b.bin"'],
    [{ kind: "text_document" }, "the kind was binary and is text_document"],
    [{ ack: "queued" }, "the ack was stored and is queued"],
    [{ sizeBytes: 6 }, "the size was 5 bytes and is 6 bytes"],
    [{ sizeBytes: 0 }, "the size was 5 bytes and is 0 bytes"],
    [{ sha256: new Uint8Array(32).fill(2) }, "the SHA-256 is another one"],
  ] as [Partial<UploadDescription>, string][]) {
    it(`says: ${words}`, () => assert.equal(descriptionConflict(first, { ...first, ...changed }), words));
  }
});

describe("sameBytes", () => {
  it("compares length and every byte", () => {
    const bytes = (...list: number[]) => Uint8Array.from(list);
    assert.equal(sameBytes(bytes(), bytes()), true);
    assert.equal(sameBytes(bytes(1, 2), Buffer.from([1, 2])), true);
    assert.equal(sameBytes(bytes(1, 2), bytes(1)), false);
    assert.equal(sameBytes(bytes(1), bytes(1, 2)), false);
    assert.equal(sameBytes(bytes(1, 2), bytes(1, 3)), false);
  });
});
