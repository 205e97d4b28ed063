import assert from "node:assert/strict";
import { readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { GetStatusResponse } from "@bilancia/proto/gen/admin";
import { balancerStatus, serversByName } from "./admin.js";
import type { RunningServer } from "./cluster.js";
import { eventually } from "./test-support/eventually.js";
import { runLbCli } from "./test-support/run-script.js";
import { assertShares, SteadyLoad } from "./test-support/steady-load.js";
import { allPassed, neverOverloaded, TestCluster, weightsOnly } from "./test-support/test-cluster.js";

/** What the file says, beside the servers and their weights. */
const settled = `probe: { timeoutMs: 20000 }\n${weightsOnly}`;

function yaml(servers: readonly RunningServer[], weights: Record<string, number>, more = settled): string {
  const lines = servers.flatMap(({ name, address }) =>
    name in weights ? [`  - { name: ${name}, address: "${address}", weight: ${weights[name]} }`] : [],
  );
  return `${more}servers:\n${lines.join("\n")}\n`;
}

describe("a configuration file that changes under load", function () {
  this.timeout(180_000);
  let test: TestCluster;
  let load: SteadyLoad;

  before(async () => {
    test = await TestCluster.start({
      weights: [1, 1, 1],
      serverArgs: neverOverloaded,
      balancerConfig: (servers) => yaml(servers, { "storage-1": 1, "storage-2": 1 }),
    });
    load = new SteadyLoad(test.cluster.balancer.address);
  });
  after(async function () {
    await load?.stop().catch(() => {});
    await test?.finish(allPassed(this.test?.parent));
  });

  const status = (): Promise<GetStatusResponse> => balancerStatus(test.cluster.balancer.adminAddress);
  const write = (text: string) => writeFile(test.configFile, text);
  const file = (weights: Record<string, number>, more?: string) => yaml(test.cluster.servers, weights, more);
  const log = () => readFile(path.join(test.folder, "loadbalancer.log"), "utf8");

  async function pool(): Promise<Record<string, number>> {
    const servers = await serversByName(test.cluster.balancer.adminAddress);
    return Object.fromEntries([...servers.values()].map(({ name, weight }) => [name, weight]));
  }

  /** Waits until the pool is this, and the shares with it. */
  async function becomes(weights: Record<string, number>): Promise<void> {
    await eventually(async () => assert.deepEqual(await pool(), weights));
    await delay(2_000);
    assertShares(await load.shares(), weights);
  }

  it("gives new weights and takes in a new server when it is written in place", async () => {
    await write(file({ "storage-1": 3, "storage-2": 1, "storage-3": 2 }));
    await becomes({ "storage-1": 3, "storage-2": 1, "storage-3": 2 });
  });

  it("lets a server go that it does not name any more, when it is replaced by a rename", async () => {
    const other = path.join(test.folder, "balancer.yaml.new");
    await writeFile(other, file({ "storage-1": 1, "storage-3": 1 }));
    await rename(other, test.configFile);
    await becomes({ "storage-1": 1, "storage-3": 1 });
  });

  it("changes nothing and says why when it cannot be used", async () => {
    await write("probe: { timeoutMs: soon }\nservers: [");
    await eventually(async () => assert.match((await status()).config?.problems.join() ?? "", /not valid YAML/));
    await write(`${file({ "storage-2": 1 })}\ngraceMs: soon\n`);
    const problem = 'graceMs: expected a whole number from 0 to 2147483647; came "soon"';
    await eventually(async () => assert.deepEqual((await status()).config?.problems, [problem]));
    assert.deepEqual(await pool(), { "storage-1": 1, "storage-3": 1 });
    const told = await runLbCli(test.cluster.balancer, ["status"]);
    assert.match(told.stdout, /not usable +graceMs: expected a whole number/);
    await eventually(async () => assert.match(await log(), /configuration refused, the one before stays in force/));
  });

  it("does not take a file that is only half written", async () => {
    const whole = file({ "storage-1": 1, "storage-2": 2, "storage-3": 1 });
    // Half of it is a valid configuration: one with fewer servers.
    const half = whole.indexOf("  - { name: storage-3");
    await write(whole.slice(0, half));
    await delay(400);
    assert.deepEqual(await pool(), { "storage-1": 1, "storage-3": 1 });
    await write(whole);
    await becomes({ "storage-1": 1, "storage-2": 2, "storage-3": 1 });
    const audit = await readFile(path.join(test.folder, "balancer", "audit.jsonl"), "utf8");
    const lastChanges = audit
      .split("\n")
      .filter((line) => line.includes('"kind":"server"'))
      .slice(-1);
    assert.match(lastChanges.join(), /"server":"storage-2",.*"message":"added: /);
  });

  it("goes together with what an operator changes", async () => {
    const { balancer } = test.cluster;
    assert.equal((await runLbCli(balancer, ["servers", "set-weight", "storage-3", "2"])).code, 0);
    await write(file({ "storage-1": 2, "storage-2": 2, "storage-3": 1 }));
    await becomes({ "storage-1": 2, "storage-2": 2, "storage-3": 2 });
    await write(file({ "storage-1": 2, "storage-2": 2, "storage-3": 4 }));
    await becomes({ "storage-1": 2, "storage-2": 2, "storage-3": 4 });
  });

  it("is read at once on SIGHUP, which says what needs a restart", async () => {
    const more = `${settled}listen: 127.0.0.1:9\nbalancing: { policy: least_load }\nlog: { level: warn }\n`;
    await write(file({ "storage-1": 1, "storage-2": 1, "storage-3": 1 }, more));
    process.kill(test.cluster.balancer.pid, "SIGHUP");
    await eventually(async () => {
      const { config } = await status();
      // The cluster gives the balancer its address as a flag, which wins.
      assert.deepEqual(config?.needRestart, []);
      assert.deepEqual(config?.problems, []);
      assert.deepEqual(await pool(), { "storage-1": 1, "storage-2": 1, "storage-3": 1 });
    });
    await write(file({ "storage-1": 1, "storage-2": 1 }, `${settled}log: { level: warn }\nqueue: memory\n`));
    process.kill(test.cluster.balancer.pid, "SIGHUP");
    await eventually(async () => {
      assert.deepEqual((await status()).config?.needRestart, ['queue: "memory", before "embedded"']);
      assert.match(await log(), /"setting":"queue: .*","msg":"setting needs a restart"/);
    });
    await becomes({ "storage-1": 1, "storage-2": 1 });
  });

  it("is in force after a restart, is in the audit, and no file was lost or stored twice", async () => {
    await load.stop();
    await write(file({ "storage-1": 1, "storage-2": 1 }));
    await test.cluster.killBalancer("SIGKILL");
    await test.cluster.startBalancer();
    assert.deepEqual(await pool(), { "storage-1": 1, "storage-2": 1 });
    const audit = await readFile(path.join(test.folder, "balancer", "audit.jsonl"), "utf8");
    const told = audit.split("\n").filter((line) => line.includes('"kind":"config"'));
    assert.ok(told.some((line) => line.includes("refused: graceMs: expected")));
    assert.ok(told.some((line) => line.includes('"client":"SIGHUP"') && line.includes("balancing.policy")));
    assert.ok(told.some((line) => line.includes('"client":"a changed file"') && line.includes("reloaded: servers")));
    await load.assertStoredOnce(test.cluster.servers);
  });
});
