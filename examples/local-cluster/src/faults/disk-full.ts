import { writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BilanciaClient } from "@bilancia/cli/client";
import { bytesSource } from "@bilancia/cli/client/upload-source";
import { RejectReason } from "@bilancia/proto/gen/balancer";
import { runOnBench } from "./bench-test.js";
import type { FaultBench } from "./fault-bench.js";
import type { FaultReport, FaultRun } from "./fault-test.js";
import { SmallDisk } from "./small-disk.js";

/** How soon after space has returned the balancer must take files again, in milliseconds. */
const recoveryTimeoutMs = 10_000;

/** P8: the balancer's state is on a small file system that is full for a while. */
export async function runOnSmallDisk(run: FaultRun): Promise<FaultReport> {
  const disk = new SmallDisk("size=64m,nr_inodes=2000");
  try {
    // Without its reserve the balancer runs into the full disk, which is what is asked for here.
    const config = path.join(disk.folder, "balancer.yaml");
    writeFileSync(config, "limits: { minFreeDiskBytes: 0 }\n");
    const options = { stateDir: path.join(disk.folder, "balancer"), balancerArgs: ["--config", config] };
    return await runOnBench({ name: "P8", options, cycle: (bench, cycle) => fillDisk(bench, cycle, disk) }, run);
  } finally {
    disk.unmount();
  }
}

/** It says so before it acknowledges anything, and goes on when there is space again. */
async function fillDisk(bench: FaultBench, cycle: number, disk: SmallDisk): Promise<void> {
  const { random } = bench;
  const before = bench.upload({ budgetBytes: 8 * 1024 * 1024, maxFileBytes: 2 * 1024 * 1024 });
  await delay(random.between(50, 300));
  disk.fill();
  await delay(random.between(100, 400));
  let refusedCount = 0;
  for (const [index, sizeBytes] of [1_000, 200_000, 3_000_000, 3_000_000].entries()) {
    // What ends gives a little space back; a file that fits into that may be acknowledged.
    disk.fill();
    const outcome = await tryOnce(bench, `full-${cycle}-${index}.bin`, sizeBytes);
    if (outcome === "QUEUE_FULL") refusedCount += 1;
    else if (outcome !== "queued") bench.violations.push(`cycle ${cycle}: ${sizeBytes} bytes, full disk: ${outcome}`);
  }
  if (refusedCount === 0) bench.violations.push(`cycle ${cycle}: nothing was refused on a full disk`);
  disk.free();
  const freedMs = performance.now();
  for (let attempt = 0; ; attempt++) {
    const outcome = await tryOnce(bench, `after-${cycle}-${attempt}.bin`, 200_000);
    if (outcome === "queued") break;
    const tookMs = Math.round(performance.now() - freedMs);
    if (tookMs > recoveryTimeoutMs) {
      bench.violations.push(`cycle ${cycle}: ${tookMs} ms after space has returned: ${outcome}`);
      break;
    }
    await delay(100);
  }
  await bench.settle(before, cycle);
}

/** Sends one file that is to be queued, without a second try; says what came of it. */
async function tryOnce({ cluster, oracle, random }: FaultBench, name: string, sizeBytes: number): Promise<string> {
  const client = new BilanciaClient({ address: cluster.balancer.address, rejectionRetryCount: 0, retryForMs: 5_000 });
  const bytes = random.bytes(sizeBytes);
  oracle.sending(name, bytes);
  try {
    for await (const result of client.upload([bytesSource(name, bytes)], { ack: "queued" })) {
      if (result.state === "queued") oracle.acknowledged(result.name, result.uploadId);
      if (result.state === "rejected") return RejectReason[result.rejection.reason].replace("REJECT_REASON_", "");
      return result.state === "failed" ? `failed: ${result.message}` : result.state;
    }
    return "no result";
  } finally {
    client.close();
  }
}
