import { SmoothWeightedRoundRobin } from "@bilancia/balancer/dist/domain/smooth-wrr.js";
import { interleaved, type Workload } from "../bench.js";

const goals: Readonly<Record<number, number>> = { 10: 1_000_000, 10000: 100_000 };

/** The choice of a server by itself. */
export const scheduler: Workload = {
  name: "scheduler",
  about:
    "Picks of a server a second, by weight, with 10, 1,000 and 10,000 servers, all of them available. Every server's share is checked against its weight.",
  async *run(bench) {
    for (const serversCount of [10, 1_000, 10_000]) {
      const name = `scheduler-${serversCount}`;
      const durationMs = bench.quick ? 200 : 1_000;
      const measure = async (warmUp: boolean) => picksPerSecond(serversCount, warmUp ? durationMs / 4 : durationMs);
      const samples = await interleaved(name, [{ name: "ours", measure }], bench);
      const atLeast = goals[serversCount];
      yield {
        ...{ name, unit: "picks/s", better: "higher", samples },
        goals: atLeast === undefined ? [] : [{ atLeast }],
      };
    }
  },
};

function picksPerSecond(serversCount: number, durationMs: number): number {
  const members = Array.from({ length: serversCount }, (_, index) => ({
    ...{ name: `storage-${index}`, weight: 1 + (index % 5) },
  }));
  const chooser = new SmoothWeightedRoundRobin();
  for (const { name, weight } of members) chooser.offer(name, weight);
  const counts = new Map<string, number>();
  let picksCount = 0;
  const startMs = performance.now();
  let elapsedMs = 0;
  while (elapsedMs < durationMs) {
    // The clock is looked at now and then only.
    for (let index = 0; index < 16; index++) {
      const picked = chooser.pick() ?? "";
      counts.set(picked, (counts.get(picked) ?? 0) + 1);
    }
    picksCount += 16;
    elapsedMs = performance.now() - startMs;
  }
  verifyShares(members, counts, picksCount);
  return (picksCount * 1_000) / elapsedMs;
}

function verifyShares(
  members: readonly { readonly name: string; readonly weight: number }[],
  counts: ReadonlyMap<string, number>,
  picksCount: number,
): void {
  const sum = members.reduce((total, { weight }) => total + weight, 0);
  for (const { name, weight } of members) {
    const fair = (picksCount * weight) / sum;
    const count = counts.get(name) ?? 0;
    // Within a round nobody is more than a round ahead or behind.
    if (Math.abs(count - fair) > weight) throw new Error(`${name} was picked ${count} times; its share is ${fair}`);
  }
}
