import { setTimeout as delay } from "node:timers/promises";
import type { FaultBench } from "./fault-bench.js";

const readyTimeoutMs = 5_000;
const graceMs = 2_000;
const graceMarginMs = 2_000;

/**
 * P1: the balancer is killed at a random moment, and started again. In turn the storage servers serve, are frozen, or are gone meanwhile: without that, nearly nothing
 * waits in the queue when the balancer dies, and a queue that loses everything would pass.
 */
export async function killBalancer(bench: FaultBench, cycle: number): Promise<void> {
  const { cluster, random } = bench;
  const { servers } = cluster;
  const uploaders = bench.upload(cycle % 5 === 0 ? { medianBytes: 256 * 1024 } : {});
  await delay(random.between(50, 350));
  const way = (["served", "frozen", "gone"] as const)[cycle % 3];
  if (way === "frozen") for (const { pid } of servers) process.kill(pid, "SIGSTOP");
  if (way === "gone") await Promise.all(servers.map(({ name }) => cluster.killServer(name, "SIGKILL")));
  try {
    await delay(random.between(0, 350));
    await cluster.killBalancer("SIGKILL");
    await startInTime(bench, cycle);
  } finally {
    if (way === "frozen") for (const { pid } of servers) process.kill(pid, "SIGCONT");
    if (way === "gone") await Promise.all(servers.map(({ name }) => cluster.startServer(name)));
  }
  await delay(random.between(0, 200));
  await bench.settle(uploaders, cycle);
}

/** Arguments of the balancer for P17. */
export const stopArgs = ["--grace-ms", String(graceMs)];

/** P17: the balancer is asked to stop under load, and started again. */
export async function stopBalancer(bench: FaultBench, cycle: number): Promise<void> {
  const { cluster, random } = bench;
  const uploaders = bench.upload();
  await delay(random.between(50, 500));
  const startMs = performance.now();
  const exit = await cluster.killBalancer("SIGTERM");
  const tookMs = Math.round(performance.now() - startMs);
  if (exit.code !== 0) bench.violations.push(`cycle ${cycle}: the balancer ended with ${JSON.stringify(exit)}`);
  if (tookMs > graceMs + graceMarginMs * bench.sharedBy)
    bench.violations.push(`cycle ${cycle}: it took ${tookMs} ms to stop`);
  await startInTime(bench, cycle);
  await bench.settle(uploaders, cycle);
}

async function startInTime(bench: FaultBench, cycle: number): Promise<void> {
  const startMs = performance.now();
  await bench.cluster.startBalancer();
  const tookMs = Math.round(performance.now() - startMs);
  if (tookMs > readyTimeoutMs * bench.sharedBy)
    bench.violations.push(`cycle ${cycle}: the balancer was ready after ${tookMs} ms`);
}
