import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { storedFiles } from "./folder-listing.js";
import { jsonLines, runLbCli } from "./test-support/run-script.js";
import { sha256OfBytes, sha256OfFile } from "./test-support/sha256.js";
import { allPassed, neverOverloaded, TestCluster, weightsOnly } from "./test-support/test-cluster.js";
import { receiptOf, UploadSession, uploadHeader } from "./test-support/upload-session.js";

describe("shares of servers with weights 5, 1, 1", function () {
  this.timeout(60_000);
  let test: TestCluster;

  before(async () => {
    test = await TestCluster.start({
      weights: [5, 1, 1],
      serverArgs: neverOverloaded,
      balancerConfig: `probe: { timeoutMs: 20000 }\n${weightsOnly}`,
    });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("gives seven files, one after another, to a a b a c a a", async () => {
    const session = new UploadSession(test.cluster.balancer.address);
    const letters = new Map([
      ["storage-1", "a"],
      ["storage-2", "b"],
      ["storage-3", "c"],
    ]);
    const order: string[] = [];
    try {
      for (let index = 0; index < 7; index++) {
        const outcome = await session.upload(uploadHeader({ name: `one-${index}.bin` }), Buffer.from([index]));
        order.push(letters.get(receiptOf(outcome).server) ?? "?");
      }
    } finally {
      session.close();
    }
    assert.equal(order.join(" "), "a a b a c a a");
  });

  it("gives 700 files 500, 100 and 100, each whole and on one disk", async () => {
    const source = path.join(test.folder, "many");
    const digests = new Map<string, string>();
    await mkdir(source);
    for (let index = 0; index < 700; index++) {
      const bytes = Buffer.from(`file ${index}\n`.repeat(1 + (index % 50)));
      digests.set(`many-${index}.txt`, sha256OfBytes(bytes));
      await writeFile(path.join(source, `many-${index}.txt`), bytes);
    }

    const { code, stdout, stderr } = await runLbCli(test.cluster.balancer, ["upload", "-r", source, "--json"]);
    assert.equal(code, 0, stderr);
    const lines = jsonLines(stdout);
    assert.equal(lines.length, 700);
    const counts = new Map<string, number>();
    for (const line of lines) {
      assert.equal(line.state, "stored");
      assert.equal(line.sha256, digests.get(line.name));
      counts.set(line.server, (counts.get(line.server) ?? 0) + 1);
    }
    assert.deepEqual(Object.fromEntries([...counts].sort()), { "storage-1": 500, "storage-2": 100, "storage-3": 100 });

    for (const server of test.cluster.servers) {
      const files = (await storedFiles(server.dir)).filter((file) => file.name.startsWith("many-"));
      assert.equal(files.length, counts.get(server.name));
      for (const file of files) assert.equal(await sha256OfFile(file.path), digests.get(file.name));
    }
  });
});
