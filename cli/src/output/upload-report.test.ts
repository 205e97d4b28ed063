import assert from "node:assert/strict";
import { RejectReason } from "@bilancia/proto/gen/balancer";
import type { UploadResult } from "../client/upload-types.js";
import { plainScreen } from "../testing/plain-screen.js";
import { jsonNumber, uploadJson } from "./json.js";
import { displayWidth } from "./table.js";
import { UploadReport } from "./upload-report.js";

const uploadId = "0b8f1d9e-7a52-4c1e-9d5c-3f1f3f6a2b10";

const stored: UploadResult = {
  state: "stored",
  requestNumber: 7n,
  uploadId,
  name: "how-scales-work.json",
  sizeBytes: 1437,
  elapsedMs: 12.4,
  receipt: {
    requestNumber: 7n,
    uploadId,
    name: "how-scales-work.json",
    server: "storage-1",
    storedName: "7_how-scales-work.json",
    sizeBytes: 1437n,
    sha256: Buffer.alloc(32, 0xab),
    attempts: 2,
    storedAt: undefined,
    textStats: { lettersA: 91n, characters: 1000n },
  },
};

const rejected: UploadResult = {
  state: "rejected",
  requestNumber: 2n ** 53n + 1n,
  uploadId,
  name: "bad.json",
  sizeBytes: 8,
  elapsedMs: 3,
  rejection: {
    reason: RejectReason.REJECT_REASON_NOT_A_TEXT_DOCUMENT,
    message: "it has no title\u001b[2J",
    retryable: false,
    retryAfter: undefined,
  },
};

const failed: UploadResult = {
  state: "failed",
  requestNumber: 0n,
  uploadId,
  name: "gone.bin",
  sizeBytes: 5_000_000,
  elapsedMs: 0,
  message: "cannot read gone.bin: no such file or folder",
  answered: false,
};

function reportOf(...results: UploadResult[]): UploadReport {
  const report = new UploadReport();
  for (const result of results) report.add(result);
  return report;
}

describe("UploadReport", () => {
  it("draws the whole table where there is room, and on a pipe", () => {
    const expected = [
      "         request  name                     size  server     stored name             attempts  letters a   time",
      "               7  how-scales-work.json  1.4 KiB  storage-1  7_how-scales-work.json         2         91  12 ms",
      "9007199254740993  bad.json                  8 B  rejected   -                              -          -   3 ms",
      "               -  gone.bin              4.8 MiB  failed     -                              -          -   0 ms",
      "",
      "1 stored, 1 rejected, 1 failed; 1.4 KiB in 1.5 s (958 B/s); storage-1 1",
    ].join("\n");
    const report = reportOf(stored, rejected, failed);
    assert.equal(report.render(1_500, plainScreen()), expected);
    assert.equal(report.render(1_500, plainScreen(120)), expected);
  });

  it("fits narrow terminals: names are cut, then columns left out", () => {
    const report = reportOf(stored, failed);
    for (const columns of [40, 50, 60, 80, 100]) {
      const lines = report.render(1_500, plainScreen(columns)).split("\n").slice(0, 3);
      for (const line of lines) assert.ok(displayWidth(line) <= columns, `${columns}: ${line}`);
    }
    assert.deepEqual(report.render(1_500, plainScreen(40)).split("\n").slice(0, 3), [
      "request  name                  server",
      "      7  how-scales-work.json  storage-1",
      "      -  gone.bin              failed",
    ]);
  });

  it("explains what did not get through, without control characters", () => {
    assert.deepEqual(reportOf(stored, rejected, failed).complaints(), [
      "bad.json: rejected (NOT_A_TEXT_DOCUMENT): it has no title�[2J",
      "gone.bin: failed: cannot read gone.bin: no such file or folder",
    ]);
  });

  it("shows the first thousand of very many", () => {
    const text = reportOf(...Array.from({ length: 1_500 }, () => stored)).render(1_000, plainScreen());
    assert.match(text, /… and 500 more; --json lists them all/);
    assert.match(text, /1,500 stored; .*; storage-1 1,500$/);
  });
});

describe("uploadJson", () => {
  it("writes one object per state", () => {
    assert.equal(
      JSON.stringify(uploadJson(stored)),
      `{"requestNumber":7,"uploadId":"${uploadId}","name":"how-scales-work.json","sizeBytes":1437,"server":"storage-1",` +
        `"storedName":"7_how-scales-work.json","sha256":"${"ab".repeat(32)}","attempts":2,"state":"stored","lettersA":91}`,
    );
    assert.deepEqual(uploadJson(rejected), {
      requestNumber: "9007199254740993",
      uploadId,
      name: "bad.json",
      sizeBytes: 8,
      server: null,
      storedName: null,
      sha256: null,
      attempts: null,
      state: "rejected",
      reason: "NOT_A_TEXT_DOCUMENT",
      message: "it has no title\u001b[2J",
    });
    assert.deepEqual(uploadJson(failed), {
      requestNumber: null,
      uploadId,
      name: "gone.bin",
      sizeBytes: 5_000_000,
      server: null,
      storedName: null,
      sha256: null,
      attempts: null,
      state: "failed",
      message: "cannot read gone.bin: no such file or folder",
    });
  });

  it("keeps numbers exact", () => {
    assert.equal(jsonNumber(2n ** 53n - 1n), 9007199254740991);
    assert.equal(jsonNumber(2n ** 53n), "9007199254740992");
    assert.equal(jsonNumber(2n ** 64n - 1n), "18446744073709551615");
  });
});
