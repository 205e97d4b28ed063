import { setTimeout as delay } from "node:timers/promises";
import { Ack } from "@bilancia/proto/gen/balancer";
import { TestBed } from "../bed/test-bed.js";
import type { Workload } from "../bench.js";
import { closedLoop } from "../load/closed-loop.js";
import { makePayloads } from "../load/payload.js";

const concurrency = 4_096;
const deliveredCount = 50_000;

/** The balancer's start on a full ledger. */
export const restart: Workload = {
  name: "restart",
  about:
    "The time from the start of a balancer that was killed (`kill -9`) until it serves, with 1,000,000 uploads of 64 bytes in its ledger (50,000 with `--quick`), all of them queued: they were acknowledged `QUEUED` while no storage server was there. After the last start the servers come back, and the first 50,000 must arrive.",
  async run(bench) {
    const recordsCount = bench.quick ? deliveredCount : 1_000_000;
    const bed = await TestBed.start({ parent: bench.dir, readyTimeoutMs: 300_000 });
    const names = bed.cluster.servers.map(({ name }) => name);
    const payloads = makePayloads(1_024, 64);
    try {
      await Promise.all(names.map((name) => bed.cluster.killServer(name, "SIGKILL")));
      const ours = bed.ours(4, { ack: Ack.ACK_QUEUED });
      let sentCount = 0;
      const next = () => {
        if (sentCount % 100_000 === 0) bench.log(`restart: ${sentCount} of ${recordsCount} uploads queued`);
        return sentCount < recordsCount ? payloads[sentCount++ % payloads.length] : undefined;
      };
      await closedLoop(ours, { concurrency, next });
      const seconds: number[] = [];
      for (let round = 1; round <= bench.rounds; round++) {
        await bed.cluster.killBalancer("SIGKILL");
        bench.log(`restart: round ${round} of ${bench.rounds}`);
        const startMs = performance.now();
        await bed.cluster.startBalancer();
        seconds.push((performance.now() - startMs) / 1_000);
        const { queuedFiles } = await bed.status();
        if (Number(queuedFiles) !== recordsCount)
          throw new Error(`${recordsCount} uploads were acknowledged, ${queuedFiles} are queued after the restart`);
      }
      await Promise.all(names.map((name) => bed.cluster.startServer(name)));
      for (let storedCount = 0; storedCount < deliveredCount; await delay(500))
        storedCount = (await bed.storedCounts()).reduce((sum, count) => sum + count, 0);
      return [{ name: "restart", unit: "s", better: "lower", samples: { ours: seconds }, goals: [{ atMost: 30 }] }];
    } finally {
      await bed.stop();
    }
  },
};
