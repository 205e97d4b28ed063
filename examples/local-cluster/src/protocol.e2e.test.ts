import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { Ack, RejectReason } from "@bilancia/proto/gen/balancer";
import { maxPartDataBytes } from "@bilancia/proto/limits";
import { status } from "@grpc/grpc-js";
import { storedFiles } from "./folder-listing.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, rejectionOf, UploadSession, uploadHeader } from "./test-support/upload-session.js";

describe("bad input on the upload stream", function () {
  this.timeout(60_000);
  let test: TestCluster;
  let session: UploadSession;

  before(async () => {
    test = await TestCluster.start({ weights: [1] });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });
  beforeEach(() => {
    session = new UploadSession(test.cluster.balancer.address);
  });
  afterEach(() => session.close());

  async function storedNames(): Promise<string[]> {
    return (await storedFiles(test.cluster.server("storage-1").dir)).map((file) => file.name);
  }

  /** A rejected file must not end the stream. */
  async function assertStreamGoesOn(): Promise<void> {
    const name = `next-${randomUUID()}.bin`;
    receiptOf(await session.upload(uploadHeader({ name }), Buffer.from("next")));
    assert.ok((await storedNames()).includes(name));
  }

  it("rejects a name with ../ and goes on", async () => {
    const rejection = rejectionOf(await session.upload(uploadHeader({ name: "../escape.txt" }), Buffer.from("x")));
    assert.equal(rejection.reason, RejectReason.REJECT_REASON_INVALID_NAME);
    assert.match(rejection.message, /"\.\.\/escape\.txt"/);
    assert.equal(rejection.retryable, false);
    await assertStreamGoesOn();
  });

  it("rejects a file with a wrong SHA-256 and goes on", async () => {
    const header = uploadHeader({ name: "wrong-digest.bin", sha256: new Uint8Array(32) });
    const rejection = rejectionOf(await session.upload(header, Buffer.from("x")));
    assert.equal(rejection.reason, RejectReason.REJECT_REASON_DIGEST_MISMATCH);
    assert.match(rejection.message, /sha-?256/i);
    await assertStreamGoesOn();
    assert.ok(!(await storedNames()).includes("wrong-digest.bin"));
  });

  it("rejects a small file with a wrong SHA-256 at its end, also after it was queued", async () => {
    for (const ack of [Ack.ACK_STORED, Ack.ACK_QUEUED]) {
      const header = uploadHeader({ name: "wrong-digest-at-the-end.bin", ack });
      const outcome = session.outcome(header.uploadId);
      session.send({ header, offset: 0, data: Buffer.from("x"), finish: { sha256: Buffer.alloc(32) } });
      assert.equal(rejectionOf(await outcome).reason, RejectReason.REJECT_REASON_DIGEST_MISMATCH);
    }
    await assertStreamGoesOn();
    assert.ok(!(await storedNames()).includes("wrong-digest-at-the-end.bin"));
  });

  it("rejects a part without data and with a CRC-32C that is not that of no bytes", async () => {
    const header = uploadHeader({ name: "wrong-crc-of-nothing.bin" });
    const outcome = session.outcome(header.uploadId);
    session.send({ header, offset: 0, data: Buffer.alloc(0), crc32c: 1, finish: {} });
    assert.equal(rejectionOf(await outcome).reason, RejectReason.REJECT_REASON_CHECKSUM_MISMATCH);
    await assertStreamGoesOn();
  });

  it("rejects a part with a wrong CRC-32C and goes on", async () => {
    const header = uploadHeader({ name: "wrong-crc.bin" });
    const outcome = session.outcome(header.uploadId);
    session.send({ header, offset: 0, data: Buffer.from("x"), crc32c: 1, finish: {} });
    const rejection = rejectionOf(await outcome);
    assert.equal(rejection.reason, RejectReason.REJECT_REASON_CHECKSUM_MISMATCH);
    assert.match(rejection.message, /crc-?32c/i);
    assert.equal(rejection.retryable, true);
    await assertStreamGoesOn();
    assert.ok(!(await storedNames()).includes("wrong-crc.bin"));
  });

  it("ends the stream on data before a header", async () => {
    session.send({ offset: 0, data: Buffer.from("whose am I?") });
    const end = await session.status;
    assert.equal(end.code, status.INVALID_ARGUMENT);
    assert.match(end.details, /header/);
  });

  it("ends the stream on a chunk over the limit", async () => {
    const header = uploadHeader({ name: "too-large-a-chunk.bin" });
    session.send({ header, offset: 0, data: Buffer.alloc(maxPartDataBytes + 1) });
    const end = await session.status;
    assert.equal(end.code, status.INVALID_ARGUMENT);
    assert.match(end.details, new RegExp(String(maxPartDataBytes)));
  });

  it("rejects a second file with the upload id of another", async () => {
    const header = uploadHeader({ name: "first.bin" });
    const first = receiptOf(await session.upload(header, Buffer.from("first")));
    const rejection = rejectionOf(await session.upload({ ...header, name: "second.bin" }, Buffer.from("second")));
    assert.equal(rejection.reason, RejectReason.REJECT_REASON_UPLOAD_ID_CONFLICT);
    await assertStreamGoesOn();
    assert.ok(!(await storedNames()).includes("second.bin"));

    const again = receiptOf(await session.upload(header, Buffer.from("first")));
    assert.deepEqual(again, first);
    assert.equal((await storedNames()).filter((name) => name === "first.bin").length, 1);
  });

  it("ends with OK once the client has closed its side and every file is answered", async () => {
    const outcome = session.upload(uploadHeader({ name: "last.bin" }), Buffer.from("last"));
    const end = await session.end();
    assert.equal(end.code, status.OK);
    receiptOf(await outcome);
  });
});
