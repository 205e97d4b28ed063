import { TestBed } from "../bed/test-bed.js";
import { interleaved, type Workload } from "../bench.js";
import { makePayloads } from "../load/payload.js";
import type { Measured } from "../report/results.js";
import { quantile } from "../report/statistics.js";

/** How long one small file takes. */
export const latency: Workload = {
  name: "latency",
  about:
    "One document of 4 KiB at a time, from its sending to `STORED`, on a stream that stays open (one call per file for the peers also). `storage server` is the same file sent straight to a server.",
  async *run(bench) {
    const bed = await TestBed.start({ parent: bench.dir, proxies: bench.proxies });
    const payloads = makePayloads(256, 4 * 1024);
    let storedCount = 0;
    try {
      const direct = bed.direct(1);
      const contenders = [bed.ours(1), direct, ...bed.perFile(), ...bed.pinned(1)];
      const turns = contenders.map((contender) => ({
        name: contender.name,
        async measure(warmUp: boolean) {
          const timesMs: number[] = [];
          for (let index = 0; index < (warmUp || bench.quick ? 300 : 1_000); index++) {
            const startMs = performance.now();
            await contender.send(0, payloads[index % payloads.length] as (typeof payloads)[0]);
            timesMs.push(performance.now() - startMs);
          }
          storedCount += timesMs.length;
          return timesMs;
        },
      }));
      const times = await interleaved("latency", turns, bench);
      await bed.expectStored(storedCount);
      const result = (share: number): Measured => ({
        name: `latency-p${share * 100}`,
        unit: "ms",
        better: "lower",
        references: [direct.name],
        samples: Object.fromEntries(
          Object.entries(times).map(([name, rounds]) => [name, rounds.map((timesMs) => quantile(timesMs, share))]),
        ),
        goals: share === 0.5 ? [{ against: [direct.name], atMost: 2 }] : [],
      });
      yield result(0.5);
      yield result(0.99);
    } finally {
      await bed.stop();
    }
  },
};
