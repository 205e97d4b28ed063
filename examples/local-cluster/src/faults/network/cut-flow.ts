import { setTimeout as delay } from "node:timers/promises";
import { ServerState } from "@bilancia/proto/gen/admin";
import { serversByName } from "../../admin.js";
import { eventually } from "../../test-support/eventually.js";
import { runOnBench } from "../bench-test.js";
import { type FaultBench, serverNames } from "../fault-bench.js";
import type { FaultRun } from "../fault-test.js";
import { type Cut, TestNetwork } from "./test-network.js";

/** How soon a server that cannot be reached must be found, in milliseconds. With the default settings it is 2,500; the machine may be busy. */
const foundWithinMs = 10_000;

/** What happens: a cut for a moment or until it is found; or one during which the server ends, so that its connections are half open afterwards. */
const ways: readonly [Cut | "half open", ...(Cut | "half open")[]] = [
  "both ways",
  "to the server",
  "from the server",
  "half open",
];

// Without its parent there is nobody to report to.
process.once("disconnect", () => process.exit(1));
const run = JSON.parse(process.argv[2] ?? "") as FaultRun;
const network = new TestNetwork(serverNames);
const server = (name: string) => ({ listen: `${network.address(name)}:0`, launcher: network.launcher(name) });
const report = await runOnBench({ name: "P9N", options: { server }, cycle: cutServer }, run);
process.send?.(report, () => process.exit());

async function cutServer(bench: FaultBench, cycle: number): Promise<void> {
  const { cluster, random } = bench;
  const name = random.pick(serverNames);
  // Each way in turn, so that even a few cycles see them all.
  const way = ways[cycle % ways.length] ?? ways[0];
  const halfOpen = way === "half open";
  const how: Cut = halfOpen ? "both ways" : way;
  const uploaders = bench.upload();
  await delay(random.between(50, 400));
  network.cut(name, how);
  try {
    // Neither FIN nor RST of it gets through.
    if (halfOpen) await cluster.killServer(name, "SIGKILL");
    if (halfOpen || random.pick([true, true, false])) await eventually(() => assertFound(bench, name), foundWithinMs);
    await delay(random.between(0, 700));
    if (halfOpen) await cluster.startServer(name);
  } finally {
    network.heal(name, how);
  }
  await bench.settle(uploaders, cycle);
}

async function assertFound({ cluster }: FaultBench, name: string): Promise<void> {
  const { state, stateReason } = (await serversByName(cluster.balancer.adminAddress)).get(name) ?? {};
  if (state !== ServerState.SERVER_STATE_UNHEALTHY) throw new Error(`${name} is cut off, but ${stateReason}`);
}
