import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "./test-support/eventually.js";
import { jsonLines, runLbCli } from "./test-support/run-script.js";
import { assertShares, SteadyLoad } from "./test-support/steady-load.js";
import { allPassed, neverOverloaded, TestCluster, weightsOnly } from "./test-support/test-cluster.js";

/** How soon after a change the shares are what they are to be, in milliseconds. */
const settleMs = 2_000;

describe("servers that come and go under load", function () {
  this.timeout(180_000);
  let test: TestCluster;
  let load: SteadyLoad;

  before(async () => {
    test = await TestCluster.start({
      weights: [1, 1, 2],
      unlisted: ["storage-3"],
      serverArgs: neverOverloaded,
      balancerConfig: `probe: { timeoutMs: 20000 }\n${weightsOnly}`,
    });
    load = new SteadyLoad(test.cluster.balancer.address);
  });
  after(async function () {
    await load?.stop().catch(() => {});
    await test?.finish(allPassed(this.test?.parent));
  });

  async function servers(...args: string[]): Promise<Record<string, unknown>[]> {
    const { code, stdout, stderr } = await runLbCli(test.cluster.balancer, ["servers", ...args, "--json"]);
    assert.equal(code, 0, stderr);
    return jsonLines(stdout) as unknown as Record<string, unknown>[];
  }

  it("shares among those that are configured", async () => {
    assertShares(await load.shares(), { "storage-1": 1, "storage-2": 1 });
  });

  it("gives one that is added its share", async () => {
    const [added] = await servers("add", "storage-3", test.cluster.server("storage-3").address, "--weight", "2");
    assert.equal(added?.result, "added");
    assert.equal(added.state, "available");
    await delay(settleMs);
    assertShares(await load.shares(), { "storage-1": 1, "storage-2": 1, "storage-3": 2 });
  });

  it("gives one with a new weight its new share", async () => {
    const [changed] = await servers("set-weight", "storage-1", "3");
    assert.equal(changed?.weight, 3);
    await delay(settleMs);
    assertShares(await load.shares(), { "storage-1": 3, "storage-2": 1, "storage-3": 2 });
  });

  it("drains one, says when it is empty, and gives it nothing from then on", async () => {
    const [drained] = await servers("drain", "storage-2");
    assert.equal(drained?.result, "drained");
    assert.equal(drained.inFlightFiles, 0);
    const from = load.sent;
    assertShares(await load.shares(), { "storage-1": 3, "storage-3": 2 });
    for (const [name, server] of load.servers)
      if (Number.parseInt(name, 10) >= from) assert.notEqual(server, "storage-2", name);
  });

  it("gives one that is enabled its share again, and removes it when it is drained", async () => {
    await servers("enable", "storage-2");
    await delay(settleMs);
    assertShares(await load.shares(), { "storage-1": 3, "storage-2": 1, "storage-3": 2 });
    await servers("drain", "storage-2");
    const [removed] = await servers("remove", "storage-2");
    assert.equal(removed?.result, "removed");
    assert.deepEqual((await servers()).map(({ name }) => name).sort(), ["storage-1", "storage-3"]);
  });

  it("removes one in use by force only, and what was on its way to it goes to others", async () => {
    const { code, stderr } = await runLbCli(test.cluster.balancer, ["servers", "remove", "storage-3"]);
    assert.equal(code, 1);
    assert.match(stderr, /SERVER_IN_USE: expected a drained server .* came storage-3, which is not drained/);
    await servers("remove", "storage-3", "--force");
    assertShares(await load.shares(), { "storage-1": 1 });
    await load.stop();
  });

  it("has the changes after a restart of the balancer, and in its audit", async () => {
    await test.cluster.killBalancer("SIGKILL");
    await test.cluster.startBalancer();
    assert.deepEqual(
      (await servers()).map(({ name, weight }) => [name, weight]),
      [["storage-1", 3]],
    );
    const audit = await readFile(path.join(test.folder, "balancer", "audit.jsonl"), "utf8");
    const told = audit.split("\n").filter((line) => line.includes('"kind":"server"'));
    const words = told.map((line) => (JSON.parse(line) as { message: string }).message.split(":")[0]);
    assert.deepEqual(words, ["added", "weight", "draining", "enabled", "draining", "removed", "removed"]);
  });

  it("has each file on exactly one disk, once the server that was removed by force is there again", async () => {
    await servers("add", "storage-3", test.cluster.server("storage-3").address);
    await eventually(() => load.assertStoredOnce(test.cluster.servers), 30_000);
  });
});
