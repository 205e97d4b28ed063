import assert from "node:assert/strict";
import { describeFile } from "../test-support/queue-fixtures.js";
import { RecordIndex } from "./record-index.js";
import { Spool } from "./spool.js";
import { UploadContent } from "./upload-content.js";
import { UploadRecord } from "./upload-record.js";

const spool = new Spool("/nowhere", { maxMemoryBytes: 1e6 });

function record(requestNumber: bigint, uploadId: string): UploadRecord {
  const content = new UploadContent(spool, requestNumber, () => {});
  return new UploadRecord(requestNumber, describeFile({ uploadId }), "test", content, 0);
}

describe("RecordIndex", () => {
  it("finds by id and by number", () => {
    const index = new RecordIndex(1_000, 100_000);
    const first = record(1n, "a");
    index.add(first);
    assert.equal(index.byId("a"), first);
    assert.equal(index.byNumber(1n), first);
    assert.equal(index.byId("b"), undefined);
    assert.equal(index.byNumber(2n), undefined);
  });

  it("lets a freed id go to another upload, while the number still finds the first", () => {
    const index = new RecordIndex(1_000, 100_000);
    const [first, second] = [record(1n, "a"), record(2n, "a")];
    index.add(first);
    index.finished(first);
    index.freeId(first);
    assert.equal(index.byId("a"), undefined);
    index.add(second);
    // The first one's end must not take the id from the second.
    index.freeId(first);
    index.sweep(5_000);
    assert.equal(index.byId("a"), second);
    assert.equal(index.byNumber(1n), undefined);
    assert.equal(index.byNumber(2n), second);
  });

  it("forgets finished uploads after the retention, and unfinished ones never", () => {
    const index = new RecordIndex(1_000, 100_000);
    const [old, recent, unfinished] = [record(1n, "a"), record(2n, "b"), record(3n, "c")];
    for (const each of [old, recent, unfinished]) index.add(each);
    index.finished(old);
    recent.touchedAtMs = 500;
    index.finished(recent);
    assert.deepEqual(index.sweep(999), [unfinished]);
    assert.equal(index.byId("a"), old);
    assert.deepEqual(index.sweep(1_000), [unfinished]);
    assert.equal(index.byId("a"), undefined);
    assert.equal(index.byId("b"), recent);
    index.sweep(1_500);
    assert.equal(index.byId("b"), undefined);
    assert.equal(index.byId("c"), unfinished);
  });

  it("remembers the last 100,000 finished uploads, whatever the traffic", () => {
    const index = new RecordIndex(1e9, 100_000);
    const count = 100_001;
    for (let number = 1; number <= count; number++) {
      const each = record(BigInt(number), `id-${number}`);
      index.add(each);
      index.finished(each);
    }
    assert.equal(index.byNumber(1n), undefined);
    assert.equal(index.byId("id-1"), undefined);
    assert.ok(index.byNumber(2n));
    assert.ok(index.byNumber(BigInt(count)));
  });
});
