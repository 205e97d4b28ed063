import assert from "node:assert/strict";
import { eventually } from "./test-support/eventually.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, UploadSession, uploadHeader } from "./test-support/upload-session.js";

/** The metrics of a balancer, by name and labels as they are written. */
async function metricsOf(address: string): Promise<Map<string, number>> {
  const text = await (await fetch(`http://${address}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.replace(/ \S+$/, ""), Number(line.replace(/^.* /, ""))] as const));
}

describe("page and metrics", function () {
  this.timeout(60_000);
  let test: TestCluster;
  let session: UploadSession;

  before(async () => {
    test = await TestCluster.start({ weights: [1, 1], balancerArgs: ["--grace-ms", "1500"] });
    session = new UploadSession(test.cluster.balancer.address);
  });
  after(async function () {
    session?.close();
    await test?.finish(allPassed(this.test?.parent));
  });

  it("count what was stored, where, and what was not taken", async () => {
    const stored = await Promise.all(
      ["a.bin", "b.bin", "c.bin", "d.bin"].map((name) => session.upload(uploadHeader({ name }), Buffer.alloc(100, 7))),
    );
    stored.forEach(receiptOf);
    await session.upload(uploadHeader({ name: "../e.bin" }), Buffer.from("e"));
    const metrics = await metricsOf(test.cluster.balancer.webAddress);
    for (const [name, value] of Object.entries({
      bilancia_stored_files_total: 4,
      bilancia_stored_bytes_total: 400,
      bilancia_stored_seconds_count: 4,
      bilancia_upload_streams: 1,
      'bilancia_stored_seconds_bucket{le="+Inf"}': 4,
      'bilancia_rejected_files_total{reason="INVALID_NAME"}': 1,
      'bilancia_server_stored_files_total{server="storage-1"}': 2,
      'bilancia_server_stored_files_total{server="storage-2"}': 2,
      'bilancia_server_state{server="storage-2",state="available"}': 1,
    })) {
      assert.equal(metrics.get(name), value, name);
    }
  });

  it("show a server that is gone, and what waits for one", async () => {
    await Promise.all([
      test.cluster.killServer("storage-1", "SIGKILL"),
      test.cluster.killServer("storage-2", "SIGKILL"),
    ]);
    const waiting = session.upload(uploadHeader({ name: "waits.bin" }), Buffer.from("waits"));
    await eventually(async () => {
      const metrics = await metricsOf(test.cluster.balancer.webAddress);
      assert.equal(metrics.get('bilancia_server_state{server="storage-1",state="unhealthy"}'), 1);
      assert.equal(metrics.get('bilancia_server_state{server="storage-1",state="available"}'), 0);
      assert.equal(metrics.get('bilancia_uploads{state="queued"}'), 1);
      assert.equal(metrics.get("bilancia_queued_bytes"), 5);
    });
    await test.cluster.startServer("storage-1");
    receiptOf(await waiting);
  });

  it("say while the balancer stops that it takes nothing new, until it has ended", async () => {
    const { webAddress } = test.cluster.balancer;
    const state = async () => (await fetch(`http://${webAddress}/healthz`)).status;
    assert.equal(await state(), 200);
    await test.cluster.killServer("storage-1", "SIGKILL");
    const waiting = session.upload(uploadHeader({ name: "too late.bin" }), Buffer.from("x"));
    await eventually(async () =>
      assert.equal((await metricsOf(webAddress)).get('bilancia_uploads{state="queued"}'), 1),
    );
    const ended = test.cluster.killBalancer("SIGTERM");
    await eventually(async () => assert.equal(await state(), 503));
    assert.equal((await ended).code, 0);
    await assert.rejects(state());
    await assert.rejects(waiting);
  });
});
