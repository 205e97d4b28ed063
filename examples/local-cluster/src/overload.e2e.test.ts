import assert from "node:assert/strict";
import { UploadState } from "@bilancia/proto/gen/balancer";
import { Kind } from "@bilancia/proto/gen/storage";
import { serversByName } from "./admin.js";
import { eventually } from "./test-support/eventually.js";
import { queryUpload } from "./test-support/query-upload.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, textDocument, UploadSession, uploadHeader } from "./test-support/upload-session.js";

/** One file in progress is the limit, and a document of 2,000 characters is in progress for 2 s. */
const easilyOverloaded = ["--overload-files", "1", "--simulate-work-ms-per-char", "1"];

function slowUpload(session: UploadSession, name: string) {
  return session.upload(uploadHeader({ name, kind: Kind.KIND_TEXT_DOCUMENT }), textDocument(2_000));
}

async function overloadedCount(test: TestCluster): Promise<number> {
  const servers = await serversByName(test.cluster.balancer.adminAddress);
  return [...servers.values()].filter((server) => server.overloaded).length;
}

describe("an overloaded server", function () {
  this.timeout(60_000);
  let test: TestCluster;
  let session: UploadSession;

  before(async () => {
    test = await TestCluster.start({ weights: [5, 1, 1], serverArgs: { "storage-1": easilyOverloaded } });
    session = new UploadSession(test.cluster.balancer.address);
  });
  after(async function () {
    session?.close();
    await test?.finish(allPassed(this.test?.parent));
  });

  it("gets no new files until it recovers", async () => {
    const slow = slowUpload(session, "slow.json");
    await eventually(async () => assert.equal(await overloadedCount(test), 1));

    const meanwhile = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        session.upload(uploadHeader({ name: `meanwhile-${index}.bin` }), Buffer.from([index])),
      ),
    );
    const servers = meanwhile.map((outcome) => receiptOf(outcome).server).sort();
    assert.deepEqual(servers, [...Array(10).fill("storage-2"), ...Array(10).fill("storage-3")]);
    assert.equal(await overloadedCount(test), 1, "the server recovered too early for this test to say anything");

    assert.equal(receiptOf(await slow).server, "storage-1");
    await eventually(async () => assert.equal(await overloadedCount(test), 0));
    const outcome = await session.upload(uploadHeader({ name: "afterwards.bin" }), Buffer.from("afterwards"));
    assert.equal(receiptOf(outcome).server, "storage-1");
  });
});

describe("servers that are all overloaded", function () {
  this.timeout(60_000);
  let test: TestCluster;
  let session: UploadSession;

  before(async () => {
    test = await TestCluster.start({ weights: [1, 1], serverArgs: easilyOverloaded });
    session = new UploadSession(test.cluster.balancer.address);
  });
  after(async function () {
    session?.close();
    await test?.finish(allPassed(this.test?.parent));
  });

  it("let uploads wait, and get them when they recover", async () => {
    const first = [slowUpload(session, "first-1.json"), slowUpload(session, "first-2.json")];
    await eventually(async () => assert.equal(await overloadedCount(test), 2));

    const header = uploadHeader({ name: "waiting.bin" });
    const waiting = session.upload(header, Buffer.from("I can wait."));
    await eventually(async () => {
      const { state } = await queryUpload(test.cluster.balancer.address, header.uploadId);
      assert.equal(state, UploadState.UPLOAD_STATE_QUEUED);
    });
    assert.equal(await overloadedCount(test), 2, "a server recovered too early for this test to say anything");

    for (const outcome of await Promise.all([...first, waiting])) receiptOf(outcome);
  });
});
