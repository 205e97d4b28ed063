import { setTimeout as delay } from "node:timers/promises";
import { TestBed } from "../bed/test-bed.js";
import { interleaved, type Workload } from "../bench.js";
import { closedLoop, once } from "../load/closed-loop.js";
import { makePayloads } from "../load/payload.js";
import type { Measured } from "../report/results.js";
import { quantile } from "../report/statistics.js";

const sizeBytes = 4 * 1024;
/** Files that the first client has under way: many more than go to the servers at a time, so that a line forms in the balancer. */
const concurrency = 10_000;
const pauseMs = 1_000;
const aloneName = "the many alone";

/** One client's many files beside another one's single files. */
export const twoClients: Workload = {
  name: "two-clients",
  about:
    "One client sends 50,000 documents of 4 KiB as fast as it can; another sends a single one every second, over a connection of its own. Measured are how long the single files take until they are `STORED`, and what the first client loses by them: beside it the same files without the second client.",
  async *run(bench) {
    const bed = await TestBed.start({ parent: bench.dir });
    const [many, one] = [bed.ours(1), bed.ours(1)];
    const payloads = makePayloads(256, sizeBytes);
    const waitsMs: number[][] = [];
    let storedCount = 0;
    const measure = (withSingles: boolean) => async (warmUp: boolean) => {
      const count = warmUp ? 5_000 : bench.quick ? 15_000 : 50_000;
      const files = Array.from(
        { length: count },
        (_, index) => payloads[index % payloads.length] as (typeof payloads)[0],
      );
      const load = closedLoop(many, { concurrency, next: once(files) });
      const over = new AbortController();
      const singles = withSingles ? sendSingles(over.signal) : Promise.resolve([]);
      const { filesCount, elapsedMs } = await load.finally(() => over.abort());
      const timesMs = await singles;
      if (withSingles && !warmUp) waitsMs.push(timesMs);
      storedCount += filesCount + timesMs.length;
      return (filesCount * 1_000) / elapsedMs;
    };
    const sendSingles = async (signal: AbortSignal): Promise<number[]> => {
      const timesMs: number[] = [];
      while (await delay(pauseMs, true, { signal }).catch(() => false)) {
        const startMs = performance.now();
        await one.send(0, payloads[timesMs.length % payloads.length] as (typeof payloads)[0]);
        timesMs.push(performance.now() - startMs);
      }
      return timesMs;
    };
    try {
      const turns = [
        { name: "ours", measure: measure(true) },
        { name: aloneName, measure: measure(false) },
      ];
      const samples = await interleaved("two-clients", turns, bench);
      await bed.expectStored(storedCount);
      const wait = (share: number, goal: boolean): Measured => ({
        name: `two-clients-single-p${share * 100}`,
        unit: "ms",
        better: "lower",
        samples: { ours: waitsMs.map((timesMs) => quantile(timesMs, share)) },
        goals: goal ? [{ atMost: 500 }] : [],
      });
      yield wait(0.5, false);
      yield wait(0.99, true);
      yield {
        ...{ name: "two-clients-many", unit: "files/s", better: "higher", samples, references: [aloneName] },
        goals: [{ against: [aloneName], atLeast: 0.95 }],
      };
    } finally {
      await bed.stop();
    }
  },
};
