import assert from "node:assert/strict";
import { storedFiles } from "./folder-listing.js";
import { allPassed, neverOverloaded, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, UploadSession, uploadHeader } from "./test-support/upload-session.js";

const weights = [3, 2, 1];

describe("shares by bytes", function () {
  this.timeout(60_000);
  let test: TestCluster;

  before(async () => {
    test = await TestCluster.start({
      weights,
      serverArgs: neverOverloaded,
      balancerConfig: "probe: { timeoutMs: 20000 }\nbalancing: { policy: byte_weighted }\n",
    });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("follow the weights, although sizes differ a thousandfold", async () => {
    const sizes = Array.from({ length: 240 }, (_, index) => (index % 24 === 0 ? 200_000 : 200 + 17 * (index % 100)));
    const session = new UploadSession(test.cluster.balancer.address);
    try {
      const outcomes = await Promise.all(
        sizes.map((size, index) =>
          session.upload(uploadHeader({ name: `${index}.bin`, sizeBytes: BigInt(size) }), Buffer.alloc(size, index)),
        ),
      );
      for (const outcome of outcomes) receiptOf(outcome);
    } finally {
      session.close();
    }
    const total = sizes.reduce((sum, size) => sum + size, 0);
    for (const { name, dir, weight } of test.cluster.servers) {
      const bytes = (await storedFiles(dir)).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      const off = bytes - (total * weight) / 6;
      assert.ok(Math.abs(off) <= 200_000, `${name} has ${bytes} bytes, which is ${off} from its share`);
    }
  });
});
