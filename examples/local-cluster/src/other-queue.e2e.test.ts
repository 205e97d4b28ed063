import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { Ack } from "@bilancia/proto/gen/balancer";
import { balancerStatus } from "./admin.js";
import { balancerScript } from "./cluster.js";
import { eventually } from "./test-support/eventually.js";
import { runScript } from "./test-support/run-script.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { UploadSession, uploadHeader } from "./test-support/upload-session.js";

describe("a queued file, and a start with queue: memory", function () {
  this.timeout(60_000);
  let test: TestCluster;

  before(async () => {
    test = await TestCluster.start({ weights: [1] });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("does not start, says what to do, and the file is delivered with queue: embedded", async () => {
    const { cluster, folder } = test;
    await cluster.killServer("storage-1", "SIGTERM");
    const session = new UploadSession(cluster.balancer.address);
    try {
      session.send({
        ...{ header: uploadHeader({ name: "large.bin", ack: Ack.ACK_QUEUED }), offset: 0 },
        ...{ data: Buffer.alloc(200_000, 1), finish: {} },
      });
      await eventually(() => assert.equal(session.events.at(-1)?.event?.$case, "queued"));
    } finally {
      session.close();
    }
    await cluster.killBalancer("SIGKILL");
    const stateDir = path.join(folder, "balancer");
    const args = ["--state-dir", stateDir, "--log-file", path.join(folder, "memory.log"), "--listen", "127.0.0.1:0"];
    const env = { ...process.env, BILANCIA_QUEUE: "memory", BILANCIA_ADMIN__LISTEN: "127.0.0.1:0" };
    const server = ["--server", "name=storage-1,address=127.0.0.1:1"];
    const numbering = () => readFileSync(path.join(stateDir, "numbering.json"), "utf8");
    const before = numbering();
    const memory = await runScript(balancerScript, [...args, ...server], { env, timeoutMs: 10_000 });
    assert.equal(memory.code, 1);
    assert.equal(numbering(), before, "a start that is refused takes no numbers");
    assert.match(memory.stderr, /^bilancia-balancer: \S+spool has files of an embedded queue [^\n]+stateDir[.]\n$/);
    await cluster.startServer("storage-1");
    await cluster.startBalancer();
    await eventually(async () => {
      const { queuedFiles, storedFiles } = await balancerStatus(cluster.balancer.adminAddress);
      assert.deepEqual({ queuedFiles, storedFiles }, { queuedFiles: 0n, storedFiles: 1n });
    });
  });
});
