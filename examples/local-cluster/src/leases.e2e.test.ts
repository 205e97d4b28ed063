import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Server, ServerState } from "@bilancia/proto/gen/admin";
import { type ServiceError, status } from "@grpc/grpc-js";
import { serversByName } from "./admin.js";
import { eventually } from "./test-support/eventually.js";
import { Registry } from "./test-support/registry.js";
import { assertShares, SteadyLoad } from "./test-support/steady-load.js";
import { allPassed, neverOverloaded, TestCluster, weightsOnly } from "./test-support/test-cluster.js";

const names = ["storage-1", "storage-2", "storage-3"] as const;
const weights = { "storage-1": 1, "storage-2": 1, "storage-3": 2 };
const leaseMs = 2_000;

const config = `
probe: { timeoutMs: 1500 }
registration: { unknownServers: accept, leaseMs: ${leaseMs} }
${weightsOnly}`;

describe("servers that join by themselves, of a balancer that has none configured", function () {
  this.timeout(180_000);
  let test: TestCluster;
  let load: SteadyLoad;

  before(async () => {
    test = await TestCluster.start({ weights: [1, 1, 1], serverArgs: neverOverloaded, balancerConfig: () => config });
  });
  after(async function () {
    await load?.stop().catch(() => {});
    await test?.finish(allPassed(this.test?.parent));
  });

  const servers = (): Promise<Map<string, Server>> => serversByName(test.cluster.balancer.adminAddress);
  const announcing = (name: keyof typeof weights) => [
    ...["--balancer", test.cluster.balancer.address],
    ...["--weight", String(weights[name])],
  ];
  async function are(state: ServerState, ...which: readonly string[]): Promise<void> {
    await eventually(async () => {
      const found = await servers();
      for (const name of which) assert.equal(found.get(name)?.state, state, `${name}: ${found.get(name)?.stateReason}`);
    }, 30_000);
  }

  it("are in the pool, each with its weight, once they have been started", async () => {
    assert.equal((await servers()).size, 0);
    for (const name of names) {
      await test.cluster.killServer(name, "SIGTERM");
      await test.cluster.startServer(name, announcing(name));
    }
    await are(ServerState.SERVER_STATE_AVAILABLE, ...names);
    load = new SteadyLoad(test.cluster.balancer.address);
    await delay(2_000);
    assertShares(await load.shares(), weights);
  });

  it("stay in it for longer than their lease", async () => {
    await delay(2 * leaseMs);
    await are(ServerState.SERVER_STATE_AVAILABLE, ...names);
  });

  it("cannot be displaced by another one of their name, or at their address", async () => {
    const registry = new Registry(test.cluster.balancer.address);
    const { address } = test.cluster.server("storage-1");
    try {
      for (const [asked, words] of [
        [
          { server: "storage-1", address: "127.0.0.1:1" },
          /^SERVER_EXISTS: expected a name that no server has; came storage-1/,
        ],
        [{ server: "storage-9", address }, /^SERVER_EXISTS: expected an address that no server has; came 127/],
      ] as const)
        await assert.rejects(registry.announce(asked), (error: ServiceError) => {
          assert.equal(error.code, status.ALREADY_EXISTS);
          assert.match(error.details, words);
          return true;
        });
      await assert.rejects(registry.renew("storage-1", "not mine"), (error: ServiceError) => {
        assert.equal(error.code, status.FAILED_PRECONDITION);
        return true;
      });
    } finally {
      registry.close();
    }
  });

  it("are not picked once their lease has expired, and are again when they come back", async () => {
    await test.cluster.killServer("storage-3", "SIGKILL");
    await are(ServerState.SERVER_STATE_LEASE_EXPIRED, "storage-3");
    assertShares(await load.shares(400), { "storage-1": 1, "storage-2": 1 });
    await test.cluster.startServer("storage-3", announcing("storage-3"));
    await are(ServerState.SERVER_STATE_AVAILABLE, "storage-3");
    await delay(2_000);
    assertShares(await load.shares(), weights);
  });

  it("are back with a renewal when they were frozen for longer than their lease", async () => {
    const { pid } = test.cluster.server("storage-2");
    process.kill(pid, "SIGSTOP");
    try {
      await are(ServerState.SERVER_STATE_LEASE_EXPIRED, "storage-2");
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await are(ServerState.SERVER_STATE_AVAILABLE, "storage-2");
  });

  it("are in the pool of a balancer that was killed, and renew their leases there", async () => {
    await load.stop();
    await test.cluster.killBalancer("SIGKILL");
    await test.cluster.startBalancer();
    assert.deepEqual([...(await servers()).keys()].sort(), [...names]);
    await are(ServerState.SERVER_STATE_AVAILABLE, ...names);
    await delay(2 * leaseMs);
    await are(ServerState.SERVER_STATE_AVAILABLE, ...names);
  });

  it("have each file on exactly one disk, and are in the audit", async () => {
    await eventually(() => load.assertStoredOnce(test.cluster.servers), 30_000);
    const audit = await readFile(path.join(test.folder, "balancer", "audit.jsonl"), "utf8");
    for (const words of ["added", "lease-expired", "lease-renewed"])
      assert.match(audit, new RegExp(`"kind":"server",.*"message":"${words}: `));
  });
});
