import assert from "node:assert/strict";
import { Kind } from "@bilancia/proto/gen/storage";
import { storedFiles } from "./folder-listing.js";
import { eventually } from "./test-support/eventually.js";
import { sha256OfBytes, sha256OfFile } from "./test-support/sha256.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, textDocument, UploadSession, uploadHeader } from "./test-support/upload-session.js";

const fileCount = 200;
/** Files sent and not yet answered, so that some are under way whenever the server dies. */
const windowCount = 20;
const killAfterCount = 60;
const victim = "storage-2";

describe("kill -9 of one of three servers in the middle of 200 uploads", function () {
  this.timeout(90_000);
  let test: TestCluster;
  let session: UploadSession;
  const digests = new Map<string, string>();

  before(async () => {
    // A document of 2,000 characters takes a server 100 ms: files are surely in progress when it is killed.
    const serverArgs = ["--simulate-work-ms-per-char", "0.05"];
    test = await TestCluster.start({ weights: [1, 1, 1], serverArgs });
    session = new UploadSession(test.cluster.balancer.address);
  });
  after(async function () {
    session?.close();
    await test?.finish(allPassed(this.test?.parent));
  });

  it("stores every file, and the clients notice nothing", async () => {
    let nextIndex = 0;
    let storedCount = 0;
    let mostAttempts = 0;
    let killed: Promise<unknown> | undefined;
    const uploadInTurn = async () => {
      while (nextIndex < fileCount) {
        const name = `document-${nextIndex++}.json`;
        const bytes = Buffer.concat([Buffer.from(" ".repeat(nextIndex)), textDocument(2_000)]);
        digests.set(name, sha256OfBytes(bytes));
        const header = uploadHeader({ name, kind: Kind.KIND_TEXT_DOCUMENT });
        const receipt = receiptOf(await session.upload(header, bytes));
        assert.equal(Buffer.from(receipt.sha256).toString("hex"), digests.get(name));
        mostAttempts = Math.max(mostAttempts, receipt.attempts);
        storedCount++;
        if (storedCount === killAfterCount) killed = test.cluster.killServer(victim, "SIGKILL");
      }
    };
    await Promise.all(Array.from({ length: windowCount }, uploadInTurn));
    await killed;
    assert.equal(storedCount, fileCount);
    assert.ok(mostAttempts > 1, "no file was under way to the server when it died: the test has tested nothing");
  });

  it("gives the server files again within 3 s of its return", async () => {
    await test.cluster.startServer(victim);
    const readyMs = performance.now();
    for (let index = 0; ; index++) {
      const outcome = await session.upload(uploadHeader({ name: `after-${index}.bin` }), Buffer.from([index]));
      const elapsedMs = performance.now() - readyMs;
      assert.ok(elapsedMs < 3_000, `${victim} got nothing for ${elapsedMs} ms after its return`);
      if (receiptOf(outcome).server === victim) break;
    }
  });

  it("has each file on exactly one disk, with an equal digest", async () => {
    await eventually(async () => {
      const copies: string[] = [];
      for (const { dir } of test.cluster.servers) {
        for (const file of await storedFiles(dir)) {
          if (!digests.has(file.name)) continue;
          copies.push(file.name);
          assert.equal(await sha256OfFile(file.path), digests.get(file.name), file.storedName);
        }
      }
      assert.deepEqual(copies.sort(), [...digests.keys()].sort());
    });
  });
});
