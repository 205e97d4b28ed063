import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { Ack, Priority, RejectReason } from "@bilancia/proto/gen/balancer";
import { eventually } from "./test-support/eventually.js";
import { queryUpload } from "./test-support/query-upload.js";
import { lbCliOutput } from "./test-support/run-script.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { UploadSession, uploadHeader } from "./test-support/upload-session.js";

const { PRIORITY_UNSPECIFIED, PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH } = Priority;

describe("files of all priorities that wait, and the balancer killed with -9", function () {
  this.timeout(60_000);
  let test: TestCluster;
  before(async () => {
    test = await TestCluster.start({ weights: [1] });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  const lbCli = (...args: string[]) => lbCliOutput(test.cluster.balancer, args);
  const query = (uploadId: string) => queryUpload(test.cluster.balancer.address, uploadId);

  /** The first letters of the files' names, in the order in which they went to the server. */
  async function order(): Promise<string> {
    const lines = (await readFile(path.join(test.folder, "balancer", "audit.jsonl"), "utf8")).trimEnd().split("\n");
    const entries = lines.map((line) => JSON.parse(line) as { kind: string; name?: string });
    return entries.flatMap(({ kind, name }) => (kind === "attempt" ? [name?.slice(0, 1)] : [])).join("");
  }

  // Sent in the order that is farthest from the one in which they go out.
  const headers = [
    ...[PRIORITY_LOW],
    ...[PRIORITY_UNSPECIFIED, PRIORITY_UNSPECIFIED, PRIORITY_NORMAL, PRIORITY_NORMAL],
    ...Array<Priority>(16).fill(PRIORITY_HIGH),
  ].map((priority, at) => {
    const letter = { [PRIORITY_LOW]: "l", [PRIORITY_HIGH]: "h" }[priority as number] ?? "n";
    return uploadHeader({ name: `${letter}${at}.bin`, ack: Ack.ACK_QUEUED, priority });
  });
  const [low, normal] = headers.map(({ uploadId }) => uploadId);
  const lastHigh = headers.at(-1)?.uploadId;

  async function expectPlaces(): Promise<void> {
    const told = await Promise.all([low, normal, lastHigh].map((uploadId) => query(uploadId ?? "")));
    assert.deepEqual(
      told.map(({ priority }) => priority),
      [PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH],
    );
    // About: the last two go out side by side.
    assert.deepEqual(
      told.map(({ place }) => place?.position),
      [21n, 5n, 21n],
    );
  }

  it("stand in line as urgent as they are, and say so", async () => {
    await lbCli("servers", "drain", "storage-1");
    const session = new UploadSession(test.cluster.balancer.address);
    try {
      session.send(...headers.map((header) => ({ header, offset: 0, data: Buffer.from(header.name), finish: {} })));
      await eventually(() => assert.equal(session.events.length, headers.length));
      await expectPlaces();
      assert.match(await lbCli("status", lastHigh ?? ""), /\npriority +high\n/);

      const unknown = await session.upload(uploadHeader({ name: "a.bin", priority: 4 as Priority }), Buffer.from("a"));
      assert.ok(unknown.$case === "rejected");
      assert.equal(unknown.value.reason, RejectReason.REJECT_REASON_INVALID_HEADER);
      const expected = "priority is 4; expected PRIORITY_LOW (1), PRIORITY_NORMAL (2) or PRIORITY_HIGH (3)";
      assert.equal(unknown.value.message, expected);
    } finally {
      session.close();
    }
  });

  it("stand there as before after the restart, and go out 16 : 4 : 1", async () => {
    await test.cluster.killBalancer("SIGKILL");
    await test.cluster.startBalancer();
    await expectPlaces();
    await lbCli("servers", "enable", "storage-1");
    await eventually(async () => {
      for (const { uploadId } of headers) assert.ok((await query(uploadId)).receipt);
    });
    // The audit is written a little later.
    await eventually(async () => assert.equal(await order(), "hhhhnhhhhnhhhhnhhhhnl"));
  });
});
