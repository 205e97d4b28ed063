import assert from "node:assert/strict";
import { storedFiles } from "./folder-listing.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, UploadSession, uploadHeader } from "./test-support/upload-session.js";

const clientCount = 100;

describe("one upload id, sent by 100 clients at once", function () {
  this.timeout(60_000);
  let test: TestCluster;

  before(async () => {
    test = await TestCluster.start({ weights: [1, 1] });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("is stored once, and everybody gets the same receipt", async () => {
    const sessions = Array.from({ length: clientCount }, () => new UploadSession(test.cluster.balancer.address));
    try {
      const header = uploadHeader({ name: "shared.bin" });
      const data = Buffer.from("the same bytes from everybody");
      const receipts = (await Promise.all(sessions.map((session) => session.upload(header, data)))).map(receiptOf);
      for (const receipt of receipts) assert.deepEqual(receipt, receipts[0]);
      const stored = await Promise.all(test.cluster.servers.map(({ dir }) => storedFiles(dir)));
      assert.deepEqual(
        stored.flat().map(({ name }) => name),
        ["shared.bin"],
      );
    } finally {
      for (const session of sessions) session.close();
    }
  });
});
