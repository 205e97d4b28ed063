import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { CuttingProxy } from "./faults/cutting-proxy.js";
import { storedFiles } from "./folder-listing.js";
import { eventually } from "./test-support/eventually.js";
import { allPassed, neverOverloaded, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, UploadSession, uploadHeader } from "./test-support/upload-session.js";

const filesPerRound = 40;

describe("a storage server that the balancer knows under two addresses", function () {
  this.timeout(60_000);
  let test: TestCluster;
  let proxy: CuttingProxy;
  let address = "";
  let sentCount = 0;

  before(async () => {
    proxy = await CuttingProxy.start(() => address);
    test = await TestCluster.start({
      weights: [1],
      serverArgs: neverOverloaded,
      balancerConfig: (servers) => {
        address = servers[0]?.address ?? "";
        return `probe: { intervalMs: 200 }\nservers: [{ name: near, address: "${address}" }, { name: far, address: "${proxy.address}" }]\n`;
      },
    });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
    proxy?.close();
  });

  /** What became of copies that the balancer took for extra ones. */
  async function extraCopies(): Promise<string[]> {
    const log = await readFile(path.join(test.folder, "loadbalancer.log"), "utf8");
    const entries = log.split("\n").filter((line) => line.includes('"extra copy'));
    return entries.map((line) => JSON.parse(line).result);
  }

  /** Sends files, the answers to some of which are lost on the far way. */
  async function send(): Promise<void> {
    const session = new UploadSession(test.cluster.balancer.address);
    const cutBefore = proxy.cutCount;
    try {
      while (proxy.cutCount === cutBefore) {
        proxy.cutAnswers(1);
        const outcomes = Array.from({ length: filesPerRound }, () =>
          session.upload(uploadHeader({ name: `${++sentCount}.bin` }), Buffer.alloc(4_000, sentCount)),
        );
        for (const outcome of outcomes) receiptOf(await outcome);
      }
    } finally {
      session.close();
    }
  }

  async function assertAllThere(): Promise<void> {
    const stored = await storedFiles(path.join(test.folder, "storage-1"));
    assert.equal(new Set(stored.map(({ name }) => name)).size, sentCount);
    assert.equal(stored.length, sentCount);
  }

  it("keeps what it has stored, when it is told to discard a copy that is not one", async () => {
    // What was lost may be answered on the same way again: then nothing is to be discarded.
    while ((await extraCopies()).length === 0) await send();
    assert.ok(!(await extraCopies()).includes("discarded"), "the only copy was discarded");
    await assertAllThere();
  });

  it("keeps it, too, where the balancer is told so after a restart", async () => {
    const settledBefore = (await extraCopies()).length;
    const { address: real } = test.cluster.server("storage-1");
    address = "127.0.0.1:1";
    await send();
    await test.cluster.killBalancer("SIGKILL");
    address = real;
    await test.cluster.startBalancer();
    await eventually(async () => assert.ok((await extraCopies()).length > settledBefore));
    assert.ok(!(await extraCopies()).includes("discarded"), "the only copy was discarded");
    await assertAllThere();
  });
});
