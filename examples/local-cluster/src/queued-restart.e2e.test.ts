import assert from "node:assert/strict";
import { Ack } from "@bilancia/proto/gen/balancer";
import { balancerStatus } from "./admin.js";
import { storedFiles } from "./folder-listing.js";
import { eventually } from "./test-support/eventually.js";
import { sha256OfBytes, sha256OfFile } from "./test-support/sha256.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { UploadSession, uploadHeader } from "./test-support/upload-session.js";

const fileCount = 10_000;
const partsPerMessage = 50;

describe("10,000 queued files, every server down, and the balancer killed with -9", function () {
  this.timeout(180_000);
  let test: TestCluster;
  const digests = new Map<string, string>();

  before(async () => {
    test = await TestCluster.start({ weights: [3, 2, 1] });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("are acknowledged while no server is there", async () => {
    await Promise.all(test.cluster.servers.map(({ name }) => test.cluster.killServer(name, "SIGTERM")));
    const session = new UploadSession(test.cluster.balancer.address);
    try {
      for (let from = 0; from < fileCount; from += partsPerMessage) {
        const parts = Array.from({ length: partsPerMessage }, (_, index) => {
          const name = `queued-${from + index}.txt`;
          const data = Buffer.from(`file ${from + index}\n`.repeat(1 + (index % 20)));
          digests.set(name, sha256OfBytes(data));
          return { header: uploadHeader({ name, ack: Ack.ACK_QUEUED }), offset: 0, data, finish: {} };
        });
        session.send(...parts);
      }
      await eventually(() => assert.equal(session.events.length, fileCount), 60_000);
      assert.ok(session.events.every(({ event }) => event?.$case === "queued"));
    } finally {
      session.close();
    }
  });

  it("are known to the balancer after its restart", async () => {
    await test.cluster.killBalancer("SIGKILL");
    await test.cluster.startBalancer();
    const { queuedFiles } = await balancerStatus(test.cluster.balancer.adminAddress);
    assert.equal(queuedFiles, BigInt(fileCount));
  });

  it("lie on the servers' disks exactly once when the servers are back", async () => {
    await Promise.all(test.cluster.servers.map(({ name }) => test.cluster.startServer(name)));
    await eventually(async () => {
      const { queuedFiles, dispatchingFiles } = await balancerStatus(test.cluster.balancer.adminAddress);
      assert.equal(queuedFiles + dispatchingFiles, 0n);
    }, 90_000);
    // Where a server was slow to answer, its file went elsewhere too, and the copy is discarded when the answer is known.
    const files = await eventually(async () => {
      const found = (await Promise.all(test.cluster.servers.map(({ dir }) => storedFiles(dir)))).flat();
      assert.deepEqual(found.map(({ name }) => name).sort(), [...digests.keys()].sort());
      return found;
    }, 60_000);
    for (const { name, path, storedName } of files)
      assert.equal(await sha256OfFile(path), digests.get(name), storedName);
  });
});
