import { TestBed } from "../bed/test-bed.js";
import { type Bench, interleaved, type Turn, type Workload } from "../bench.js";
import { closedLoop, forTime } from "../load/closed-loop.js";
import type { Contender } from "../load/contender.js";
import { makePayloads } from "../load/payload.js";
import type { Measured } from "../report/results.js";

const sizeBytes = 4 * 1024;
const pinnedSuffix = ", pinned streams";

/** Small documents, each acknowledged once it is durable on a storage server. */
export const small: Workload = {
  name: "small",
  about:
    "Documents of 4 KiB, acknowledged `STORED`, with 1, 16 and 256 under way at a time. `pinned` compares the same figures of ours with peers that get many files per stream, six streams, two for each server: what they then do is no balancing per file.",
  async *run(bench) {
    const bed = await TestBed.start({ parent: bench.dir, proxies: bench.proxies });
    let storedCount = 0;
    try {
      for (const concurrency of [1, 16, 256]) {
        // What served the peers best of 3 or 6 streams over 1 or 3 connections; for one call per file 1, 2 or 4 made no difference.
        const pinned = bed.pinned(Math.min(6, concurrency), { connections: 3 });
        const contenders = [bed.ours(1), ...bed.perFile({ connections: 2 }), ...pinned];
        const title = `small-${concurrency}`;
        const turns = contenders.map((contender) =>
          turn(contender, concurrency, bench, (filesCount) => {
            storedCount += filesCount;
          }),
        );
        const samples = await interleaved(title, turns, bench);
        await bed.expectStored(storedCount);
        yield* split(title, concurrency, samples);
      }
    } finally {
      await bed.stop();
    }
  },
};

function turn(
  contender: Contender,
  concurrency: number,
  { quick }: Bench,
  count: (filesCount: number) => void,
): Turn<number> {
  const payloads = makePayloads(256, sizeBytes);
  return {
    name: contender.name,
    async measure(warmUp) {
      const next = forTime(payloads, warmUp || quick ? 1_500 : 4_000);
      const { filesCount, elapsedMs } = await closedLoop(contender, { concurrency, next });
      count(filesCount);
      return (filesCount * 1_000) / elapsedMs;
    },
  };
}

/** Two results out of one measurement: ours beside one call per file, and beside pinned streams. */
function split(title: string, concurrency: number, samples: Record<string, number[]>): Measured[] {
  const { ours = [], ...others } = samples;
  const isPinned = (name: string) => name.endsWith(pinnedSuffix);
  const pick = (pinned: boolean) =>
    Object.entries(others)
      .filter(([name]) => isPinned(name) === pinned)
      .map(([name, figures]) => [name.replace(pinnedSuffix, ""), figures]);
  const against = ["nginx", "haproxy"];
  const goals = concurrency === 256 ? { perFile: [{ against, atLeast: 8 }], pinned: [{ against, atLeast: 0.8 }] } : {};
  const common = { unit: "files/s", better: "higher" } as const;
  return [
    { ...common, name: title, samples: { ours, ...Object.fromEntries(pick(false)) }, goals: goals.perFile ?? [] },
    {
      ...common,
      name: `${title}-pinned`,
      samples: { ours, ...Object.fromEntries(pick(true)) },
      goals: goals.pinned ?? [],
    },
  ];
}
