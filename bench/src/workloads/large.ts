import { statfs } from "node:fs/promises";
import { TestBed } from "../bed/test-bed.js";
import { type Bench, interleaved, type Workload } from "../bench.js";
import { closedLoop, once } from "../load/closed-loop.js";
import { makePayload, type Payload } from "../load/payload.js";
import type { Measured } from "../report/results.js";

const mebibyte = 1024 ** 2;
const fullBytes = 2 * 1024 ** 3;
const quickBytes = 256 * mebibyte;
const warmUpBytes = 64 * mebibyte;

/** Large files, one and several at once, on disk and in memory. */
export const large: Workload = {
  name: "large",
  about:
    "One file of 2 GiB (256 MiB with `--quick`), and four at once, acknowledged `STORED`, each on a stream of its own: on disk, where flushing counts, and on tmpfs, where only the processors do. `storage server` is the same sent straight to one server.",
  async *run(bench) {
    for (const [medium, parent] of Object.entries({ disk: bench.dir, tmpfs: bench.tmpfs })) {
      if (parent === undefined) bench.log("large: there is no /dev/shm here, so nothing is measured in memory");
      else yield* runOn(medium, parent, bench);
    }
  },
};

async function* runOn(medium: string, parent: string, bench: Bench): AsyncGenerator<Measured, void, void> {
  const bed = await TestBed.start({ parent, proxies: bench.proxies });
  const warmUpFile = makePayload(warmUpBytes);
  try {
    for (const filesCount of [1, 4]) {
      const wanted = bench.quick ? quickBytes : fullBytes;
      const file = makePayload(await fitting(wanted, filesCount, parent));
      const direct = bed.direct(filesCount, { connections: filesCount });
      const contenders = [
        direct,
        bed.ours(filesCount, { connections: filesCount }),
        ...bed.perFile({ connections: filesCount }),
      ];
      const turns = contenders.map((contender) => ({
        name: contender.name,
        async measure(warmUp: boolean) {
          const files: Payload[] = Array(filesCount).fill(warmUp ? warmUpFile : file);
          const result = await closedLoop(contender, { concurrency: filesCount, next: once(files) });
          await bed.expectStored(filesCount);
          await bed.discard(result.files);
          return (result.bytes * 1_000) / result.elapsedMs / mebibyte;
        },
      }));
      const name = `large-${medium}-${filesCount}`;
      yield {
        ...{ name, unit: "MiB/s", better: "higher", samples: await interleaved(name, turns, bench) },
        references: [direct.name],
        goals: [{ against: ["nginx", "haproxy"], atLeast: medium === "disk" ? 1 : 0.8 }],
        notes: file.sizeBytes < wanted ? [`${file.sizeBytes / mebibyte} MiB a file, for want of room`] : [],
      };
    }
    await bed.expectStored(0);
  } finally {
    await bed.stop();
  }
}

/** The size, or less where there is not enough room for the files, once on the servers and once in the balancer. */
async function fitting(sizeBytes: number, filesCount: number, parent: string): Promise<number> {
  const { bavail, bsize } = await statfs(parent);
  const roomBytes = (bavail * bsize * 0.8) / (2 * filesCount);
  return roomBytes >= sizeBytes ? sizeBytes : Math.floor(roomBytes / mebibyte) * mebibyte;
}
