import { TestBed } from "../bed/test-bed.js";
import { interleaved, type Workload } from "../bench.js";
import { closedLoop, once } from "../load/closed-loop.js";
import { makePayload } from "../load/payload.js";
import { seededRandom } from "../report/statistics.js";

const mebibyte = 1024 ** 2;
const smallestBytes = 1024;
const largestBytes = 64 * mebibyte;
const medianBytes = 64 * 1024;
/** Standard deviation of the logarithm: one file of a thousand is over 30 MiB. */
const sigma = 2;
const concurrency = 16;

/** Files of all sizes together. */
export const mixed: Workload = {
  name: "mixed",
  about:
    "Files with log-normal sizes from 1 KiB to 64 MiB (median 64 KiB, sigma 2, the same sequence for all), 16 under way, each worker with a stream of its own.",
  async *run(bench) {
    const bed = await TestBed.start({ parent: bench.dir, proxies: bench.proxies });
    const random = seededRandom(4_711);
    const payloads = Array.from({ length: bench.quick ? 200 : 1_000 }, () => makePayload(logNormal(random)));
    try {
      const connections = { connections: 2 };
      const contenders = [
        bed.ours(concurrency, connections),
        ...bed.perFile(connections),
        ...bed.pinned(concurrency, connections),
      ];
      const turns = contenders.map((contender) => ({
        name: contender.name,
        async measure(warmUp: boolean) {
          const some = warmUp ? payloads.slice(0, 100) : payloads;
          const result = await closedLoop(contender, { concurrency, next: once(some) });
          await bed.expectStored(some.length);
          await bed.discard(result.files);
          return (result.bytes * 1_000) / result.elapsedMs / mebibyte;
        },
      }));
      const samples = await interleaved("mixed", turns, bench);
      yield { name: "mixed", unit: "MiB/s", better: "higher", samples };
    } finally {
      await bed.stop();
    }
  },
};

function logNormal(random: () => number): number {
  // Box and Muller's transform; 1 - random() is never 0.
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.round(Math.min(largestBytes, Math.max(smallestBytes, medianBytes * Math.exp(sigma * normal))));
}
