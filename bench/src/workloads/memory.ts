import { residentPeakMiB } from "../bed/process-memory.js";
import { TestBed } from "../bed/test-bed.js";
import type { Bench, Workload } from "../bench.js";
import { closedLoop, once } from "../load/closed-loop.js";
import { makePayload, type Payload } from "../load/payload.js";
import { type Child, freeAddress } from "../peers/child.js";
import { spawnLink } from "../peers/scripts.js";

const mebibyte = 1024 ** 2;
const uploadsCount = 1_000;
const linkBytesPerSecond = 40 * mebibyte;

/** The balancer's memory while many send more than the servers take. */
export const memory: Workload = {
  name: "memory",
  about:
    "1,000 uploads of 16 MiB (2 MiB with `--quick`) at once, each from a connection of its own, into servers behind links of 40 MiB/s. The figure is the largest resident set that the balancer's process had from its start to the last acknowledgement (`VmHWM`).",
  async *run(bench) {
    const peaks: number[] = [];
    const [rounds, file] = bench.quick ? [1, makePayload(2 * mebibyte)] : [2, makePayload(16 * mebibyte)];
    for (let round = 1; round <= rounds; round++) {
      bench.log(`memory: round ${round} of ${rounds}`);
      peaks.push(await peak(bench, file));
    }
    yield { name: "memory", unit: "MiB", better: "lower", samples: { ours: peaks }, goals: [{ atMost: 300 }] };
  },
};

async function peak(bench: Bench, file: Payload): Promise<number> {
  const links: Child[] = [];
  const names = ["storage-1", "storage-2", "storage-3"];
  const listens = new Map<string, string>();
  for (const name of names) listens.set(name, await freeAddress());
  const bed = await TestBed.start({
    parent: bench.dir,
    serverAddress: (name, address) => {
      const listen = listens.get(name) ?? address;
      links.push(spawnLink({ [listen]: address }, { bytesPerSecond: linkBytesPerSecond }));
      return listen;
    },
  });
  try {
    const contender = bed.ours(uploadsCount, { connections: uploadsCount });
    const next = once(Array<Payload>(uploadsCount).fill(file));
    await closedLoop(contender, { concurrency: uploadsCount, next });
    await bed.expectStored(uploadsCount);
    return residentPeakMiB(bed.cluster.balancer.pid);
  } finally {
    await bed.stop();
    await Promise.all(links.map((link) => link.stop()));
  }
}
