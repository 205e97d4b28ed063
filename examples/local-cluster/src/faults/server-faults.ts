import { setTimeout as delay } from "node:timers/promises";
import type { LocalCluster } from "../cluster.js";
import { runOnBench } from "./bench-test.js";
import { CuttingProxy } from "./cutting-proxy.js";
import { type FaultBench, serverNames } from "./fault-bench.js";
import type { FaultReport, FaultRun } from "./fault-test.js";

/** How a storage server is lost. */
const ways = ["killed", "answers cut, then killed", "frozen, then killed", "answers cut"] as const;

/** P2: storage servers are lost at random moments, also between the save and its answer, and come back. */
export async function loseServers(run: FaultRun): Promise<FaultReport> {
  let cluster: LocalCluster | undefined;
  const started = serverNames.map(async (name) => {
    const proxy = await CuttingProxy.start(() => cluster?.server(name).address ?? "");
    return [name, proxy] as const;
  });
  const proxies = new Map<string, CuttingProxy>(await Promise.all(started));
  const options = {
    serverAddress: (name: string) => proxies.get(name)?.address ?? "",
    onCluster: (made: LocalCluster) => {
      cluster = made;
    },
  };
  try {
    return await runOnBench({ name: "P2", options, cycle: (bench, cycle) => loseServer(bench, cycle, proxies) }, run);
  } finally {
    for (const proxy of proxies.values()) proxy.close();
  }
}

async function loseServer(bench: FaultBench, cycle: number, proxies: ReadonlyMap<string, CuttingProxy>): Promise<void> {
  const { cluster, random } = bench;
  const name = random.pick(serverNames);
  const way = random.pick(ways);
  const uploaders = bench.upload();
  await delay(random.between(50, 300));
  if (way.startsWith("answers cut")) {
    proxies.get(name)?.cutAnswers(random.between(1, 3));
    await delay(random.between(20, 200));
  }
  if (way === "frozen, then killed") {
    process.kill(cluster.server(name).pid, "SIGSTOP");
    await delay(random.between(20, 300));
  }
  if (way !== "answers cut") {
    await cluster.killServer(name, "SIGKILL");
    await delay(random.between(0, 300));
    await cluster.startServer(name);
  }
  proxies.get(name)?.cutAnswers(0);
  await bench.settle(uploaders, cycle);
}
