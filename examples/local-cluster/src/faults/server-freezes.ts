import { setTimeout as delay } from "node:timers/promises";
import { ServerState } from "@bilancia/proto/gen/admin";
import { serversByName } from "../admin.js";
import { eventually } from "../test-support/eventually.js";
import { type FaultBench, serverNames } from "./fault-bench.js";

/** How soon a frozen server must be found, in milliseconds. With the default settings it is 2,500; the machine may be busy. */
const foundWithinMs = 10_000;

/**
 * P9: servers freeze while their connections hold, one of them or all, for a moment or until the balancer has given them up. Then they go on, with
 * what they were sent before, while others have it already.
 */
export async function freezeServers(bench: FaultBench, cycle: number): Promise<void> {
  const { cluster, random } = bench;
  const first = random.between(0, serverNames.length - 1);
  const frozen = serverNames
    .slice(0, random.between(1, serverNames.length))
    .map((_, index) => serverNames[(first + index) % serverNames.length] ?? "");
  const uploaders = bench.upload();
  await delay(random.between(50, 400));
  try {
    for (const name of frozen) process.kill(cluster.server(name).pid, "SIGSTOP");
    if (random.pick([true, true, false])) await eventually(() => assertFound(bench, frozen), foundWithinMs);
    await delay(random.between(0, 700));
  } finally {
    for (const name of frozen) process.kill(cluster.server(name).pid, "SIGCONT");
  }
  await bench.settle(uploaders, cycle);
}

async function assertFound(bench: FaultBench, frozen: readonly string[]): Promise<void> {
  const servers = await serversByName(bench.cluster.balancer.adminAddress);
  for (const name of frozen) {
    const { state, stateReason } = servers.get(name) ?? {};
    if (state !== ServerState.SERVER_STATE_UNHEALTHY) throw new Error(`${name} is frozen, but ${stateReason}`);
  }
}
