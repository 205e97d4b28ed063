import { setTimeout as delay } from "node:timers/promises";
import { fillQueue } from "../bed/filled-queue.js";
import { residentPeakMiB } from "../bed/process-memory.js";
import { TestBed } from "../bed/test-bed.js";
import type { Workload } from "../bench.js";
import { freeAddress } from "../peers/child.js";
import { SinkStorage } from "../peers/sink-storage.js";

const sizeBytes = 200;
const sampleMs = 200;
const restMs = 5_000;

/** The balancer's memory with a very long queue. */
export const queueMemory: Workload = {
  name: "queue-memory",
  about:
    "The memory of a balancer with 1,000,000 files of 200 bytes queued (50,000 with `--quick`): the most that is resident (`VmHWM`) from its start through a rest without any server (`queued`), and until a server that keeps nothing has taken them all (`delivered`).",
  async *run(bench) {
    const filesCount = bench.quick ? 50_000 : 1_000_000;
    const sinkAddress = await freeAddress();
    let sink = new SinkStorage();
    await sink.start(sinkAddress);
    const bed = await TestBed.start({
      ...{ parent: bench.dir, serversCount: 1, readyTimeoutMs: 300_000 },
      serverAddress: () => sinkAddress,
    });
    try {
      await bed.cluster.killBalancer("SIGTERM");
      sink.stop();
      bench.log("queue-memory: filling the queue");
      await fillQueue(bed.stateDir, filesCount, sizeBytes);
      await bed.cluster.startBalancer();
      await delay(restMs);
      const { pid } = bed.cluster.balancer;
      const queuedMiB = residentPeakMiB(pid);
      sink = new SinkStorage();
      await sink.start(sinkAddress);
      for (let told = 0; sink.savedFiles < filesCount; await delay(sampleMs)) {
        const tenth = Math.floor((sink.savedFiles * 10) / filesCount);
        if (tenth > told) bench.log(`queue-memory: ${sink.savedFiles} of ${filesCount} delivered`);
        told = tenth;
      }
      for (const [what, peakMiB, atMost] of [
        ["queued", queuedMiB, 400],
        ["delivered", residentPeakMiB(pid), 512],
      ] as const)
        yield {
          ...{ name: `queue-memory-${what}`, unit: "MiB", better: "lower" },
          samples: { ours: [peakMiB] },
          goals: [{ atMost }],
        };
    } finally {
      await bed.stop();
      sink.stop();
    }
  },
};
