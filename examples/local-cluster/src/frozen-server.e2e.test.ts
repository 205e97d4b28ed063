import assert from "node:assert/strict";
import { ServerState } from "@bilancia/proto/gen/admin";
import { serversByName } from "./admin.js";
import { eventually } from "./test-support/eventually.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, UploadSession, uploadHeader } from "./test-support/upload-session.js";

const frozen = "storage-1";

describe("a server that is frozen, but whose connections hold", function () {
  this.timeout(60_000);
  let test: TestCluster;
  let session: UploadSession;

  before(async () => {
    test = await TestCluster.start({ weights: [1, 1, 1] });
    session = new UploadSession(test.cluster.balancer.address);
  });
  after(async function () {
    session?.close();
    process.kill(test.cluster.server(frozen).pid, "SIGCONT");
    await test?.finish(allPassed(this.test?.parent));
  });

  const state = async () => (await serversByName(test.cluster.balancer.adminAddress)).get(frozen);
  const upload = (name: string) => session.upload(uploadHeader({ name }), Buffer.from(name));

  it("is found with the default settings, and what was on its way to it goes elsewhere", async () => {
    const frozenMs = performance.now();
    process.kill(test.cluster.server(frozen).pid, "SIGSTOP");
    const outcomes = Array.from({ length: 30 }, (_, index) => upload(`meanwhile-${index}.bin`));
    for (const outcome of await Promise.all(outcomes)) assert.notEqual(receiptOf(outcome).server, frozen);
    const tookMs = performance.now() - frozenMs;
    const server = await state();
    assert.equal(server?.state, ServerState.SERVER_STATE_UNHEALTHY);
    assert.match(server.stateReason, /no answer in time/);
    assert.ok(server.stateSince);
    // By the settings it is 2.5 s; the machine may be slow.
    assert.ok(tookMs < 10_000, `it took ${tookMs} ms`);
  });

  it("gets files again when it goes on", async () => {
    process.kill(test.cluster.server(frozen).pid, "SIGCONT");
    await eventually(async () => assert.equal((await state())?.state, ServerState.SERVER_STATE_AVAILABLE));
    let count = 0;
    await eventually(async () => {
      count += 1;
      assert.equal(receiptOf(await upload(`afterwards-${count}.bin`)).server, frozen);
    });
  });
});
