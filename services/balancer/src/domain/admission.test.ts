import assert from "node:assert/strict";
import { admissionProblem, sizeProblem } from "./admission.js";
import type { UploadDescription } from "./upload.js";

const limits = { maxFiles: 10, maxBytes: 1_000, maxFileBytes: 500, minFreeDiskBytes: 100 };
const file = (sizeBytes?: number): UploadDescription => ({
  uploadId: "6f1c2a90-3f1e-4f6e-9c0a-1b2c3d4e5f60",
  name: "a.bin",
  sizeBytes,
  contentType: "",
  kind: "binary",
  ack: "stored",
  labels: {},
});

describe("admission", () => {
  for (const [what, sizeBytes, usage] of [
    ["an empty queue", 500, { files: 0, bytes: 0, comingBytes: 0 }],
    ["the last place", 500, { files: 9, bytes: 500, comingBytes: 0 }],
    ["a file of unknown size while there is room", undefined, { files: 9, bytes: 1_000, comingBytes: 0 }],
    ["an empty file in a queue full of bytes", 0, { files: 1, bytes: 1_000, comingBytes: 0 }],
    [
      "a file that leaves the reserve of the disk untouched",
      50,
      { files: 0, bytes: 0, comingBytes: 0, freeDiskBytes: 150 },
    ],
  ] as const) {
    it(`lets in: ${what}`, () => assert.equal(admissionProblem(file(sizeBytes), usage, limits), undefined));
  }

  it("refuses a file over the limit for good, before it looks at the queue", () => {
    assert.deepEqual(admissionProblem(file(501), { files: 99, bytes: 0, comingBytes: 0 }, limits), {
      reason: "TOO_LARGE",
      message: "the file has at least 501 bytes; expected at most 500",
    });
  });

  it("refuses for want of room, with a time to come back", () => {
    assert.deepEqual(admissionProblem(file(1), { files: 10, bytes: 0, comingBytes: 0 }, limits), {
      reason: "QUEUE_FULL",
      message: "the queue is full: 10 files are waiting; at most 10 may",
      retryAfterMs: 1_000,
    });
    assert.deepEqual(admissionProblem(file(2), { files: 0, bytes: 999, comingBytes: 0 }, limits), {
      reason: "QUEUE_FULL",
      message: "the queue is full: 999 bytes are waiting and 2 would come; at most 1000 may wait",
      retryAfterMs: 1_000,
    });
  });

  it("refuses for want of disk, with a time to come back", () => {
    assert.deepEqual(admissionProblem(file(51), { files: 0, bytes: 0, comingBytes: 0, freeDiskBytes: 150 }, limits), {
      reason: "QUEUE_FULL",
      message: "the balancer's disk is full: 150 bytes are free and 51 would come; at least 100 must stay free",
      retryAfterMs: 5_000,
    });
  });

  it("counts what is announced and has not come yet", () => {
    const usage = { files: 1, bytes: 400, comingBytes: 300 };
    assert.equal(admissionProblem(file(300), usage, limits), undefined);
    assert.equal(
      admissionProblem(file(301), usage, limits)?.message,
      "the queue is full: 400 bytes are waiting and 601 would come; at most 1000 may wait",
    );
    assert.equal(admissionProblem(file(50), { ...usage, freeDiskBytes: 450 }, limits), undefined);
    assert.equal(
      admissionProblem(file(51), { ...usage, freeDiskBytes: 450 }, limits)?.message,
      "the balancer's disk is full: 450 bytes are free and 351 would come; at least 100 must stay free",
    );
  });

  it("looks at the size again as bytes arrive", () => {
    assert.equal(sizeProblem(500, limits), undefined);
    assert.equal(sizeProblem(501, limits)?.reason, "TOO_LARGE");
  });
});
