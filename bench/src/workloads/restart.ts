import { setTimeout as delay } from "node:timers/promises";
import { fillQueue } from "../bed/filled-queue.js";
import { TestBed } from "../bed/test-bed.js";
import type { Workload } from "../bench.js";

const sizeBytes = 64;
/** How many files must arrive after the last start; all of a million would take longer than everything else. */
const deliveredCount = 10_000;

/** The balancer's start on a full ledger. */
export const restart: Workload = {
  name: "restart",
  about:
    "The time from the start of a balancer that was killed (`kill -9`) until it serves, with 1,000,000 uploads of 64 bytes in its ledger (50,000 with `--quick`), all of them queued. No storage server is there. After the last start the servers come back, and the first 10,000 files must arrive.",
  async *run(bench) {
    const recordsCount = bench.quick ? 50_000 : 1_000_000;
    const bed = await TestBed.start({ parent: bench.dir, readyTimeoutMs: 300_000 });
    const names = bed.cluster.servers.map(({ name }) => name);
    try {
      await bed.cluster.killBalancer("SIGTERM");
      await Promise.all(names.map((name) => bed.cluster.killServer(name, "SIGTERM")));
      bench.log(`restart: filling the ledger with ${recordsCount} uploads`);
      await fillQueue(bed.stateDir, recordsCount, sizeBytes);
      const seconds: number[] = [];
      for (let round = 1; round <= bench.rounds; round++) {
        bench.log(`restart: round ${round} of ${bench.rounds}`);
        const startMs = performance.now();
        await bed.cluster.startBalancer();
        seconds.push((performance.now() - startMs) / 1_000);
        const { queuedFiles } = await bed.status();
        if (Number(queuedFiles) !== recordsCount)
          throw new Error(`${recordsCount} uploads were queued, ${queuedFiles} are after the restart`);
        await bed.cluster.killBalancer("SIGKILL");
      }
      await Promise.all(names.map((name) => bed.cluster.startServer(name)));
      await bed.cluster.startBalancer();
      for (let storedCount = 0; storedCount < deliveredCount; await delay(500))
        storedCount = (await bed.storedCounts()).reduce((sum, count) => sum + count, 0);
      yield { name: "restart", unit: "s", better: "lower", samples: { ours: seconds }, goals: [{ atMost: 30 }] };
    } finally {
      await bed.stop();
    }
  },
};
