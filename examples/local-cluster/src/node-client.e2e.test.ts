import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { storedFiles } from "./folder-listing.js";
import { runScript } from "./test-support/run-script.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";

const script = fileURLToPath(new URL("../../node-client/dist/main.js", import.meta.url));

describe("the example of a client in Node", function () {
  this.timeout(60_000);
  let test: TestCluster;

  before(async () => {
    test = await TestCluster.start({ weights: [1] });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("sends files, says where each is, and what went wrong with the one that is not there", async () => {
    const file = path.join(test.folder, "notes.txt");
    await writeFile(file, "a few notes");
    const missing = path.join(test.folder, "missing.txt");
    const { code, stdout, stderr } = await runScript(script, [test.cluster.balancer.address, file, missing]);
    assert.equal(stdout, "notes.txt is on storage-1\n");
    assert.equal(stderr, `missing.txt is not stored: cannot read ${missing}: no such file or folder\n`);
    assert.equal(code, 1);
    const [server] = test.cluster.servers;
    assert.deepEqual(
      (await storedFiles(server?.dir ?? "")).map(({ name }) => name),
      ["notes.txt"],
    );
  });

  it("says how it is used, and that nobody is there", async () => {
    assert.match((await runScript(script, [])).stderr, /^usage: /);
    const { code, stderr } = await runScript(script, ["127.0.0.1:1", "x"]);
    assert.equal(code, 1);
    assert.match(stderr, /^cannot reach the balancer at 127\.0\.0\.1:1: /);
  });
});
