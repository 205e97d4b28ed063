import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { serversByName } from "./admin.js";
import type { RunningServer } from "./cluster.js";
import { eventually } from "./test-support/eventually.js";
import { allPassed, neverOverloaded, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, UploadSession, uploadHeader } from "./test-support/upload-session.js";

function yaml(servers: readonly RunningServer[]): string {
  // An address is a name that resolves to itself, on every machine.
  const lines = servers.map(({ name, address }) => `  - { name: ${name}, address: "dns:///${address}" }`);
  return `probe: { timeoutMs: 20000 }\nservers:\n${lines.join("\n")}\n`;
}

describe("servers behind names", function () {
  this.timeout(60_000);
  let test: TestCluster;

  before(async () => {
    test = await TestCluster.start({
      weights: [1, 1],
      serverArgs: neverOverloaded,
      balancerConfig: (servers) => yaml(servers.slice(0, 1)),
    });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  const names = async () => [...(await serversByName(test.cluster.balancer.adminAddress)).keys()];

  it("are there when the balancer is ready, and when the configuration names more of them", async () => {
    assert.deepEqual(await names(), ["storage-1-127.0.0.1"]);
    await writeFile(test.configFile, yaml(test.cluster.servers));
    process.kill(test.cluster.balancer.pid, "SIGHUP");
    await eventually(async () => assert.deepEqual(await names(), ["storage-1-127.0.0.1", "storage-2-127.0.0.1"]));
  });

  it("get files, and are in the receipts under their names", async () => {
    const session = new UploadSession(test.cluster.balancer.address);
    try {
      const receivers = new Set<string>();
      for (let index = 0; index < 20; index++) {
        const outcome = await session.upload(uploadHeader({ name: `${index}.bin` }), Buffer.from([index]));
        receivers.add(receiptOf(outcome).server);
      }
      assert.deepEqual([...receivers].sort(), ["storage-1-127.0.0.1", "storage-2-127.0.0.1"]);
    } finally {
      session.close();
    }
  });
});
