import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { settleDisk } from "../bed/settle-disk.js";
import { TempFolder } from "../bed/temp-folder.js";
import { TestBed } from "../bed/test-bed.js";
import { interleaved, type Workload } from "../bench.js";
import { closedLoop, forTime } from "../load/closed-loop.js";
import { makePayloads } from "../load/payload.js";
import { saveNaively } from "./naive-save.js";

const sizeBytes = 4 * 1024;
/** The plain way: how many files at once, and how many in a round. */
const naive = [
  { name: "one flush per file", atOnce: 1, count: 800 },
  { name: "one flush per file, 64 at once", atOnce: 64, count: 2_000 },
];

/** A storage server's journal against one flush per file. */
export const storageSmallFiles: Workload = {
  name: "storage-small-files",
  about:
    "Documents of 4 KiB straight to one storage server, 256 under way, beside the plain durable way on the same disk: temp file, flush, name, flush of the folder; one file after another, and 64 at once, of which the file system flushes many together.",
  async *run(bench) {
    const bed = await TestBed.start({ parent: bench.dir, serversCount: 1 });
    const folder = new TempFolder(bench.dir);
    folder.removeAtExit();
    const payloads = makePayloads(256, sizeBytes);
    let storedCount = 0;
    try {
      const server = bed.direct(1);
      const turns = [
        {
          name: "ours",
          async measure(warmUp: boolean) {
            const next = forTime(payloads, warmUp || bench.quick ? 1_500 : 4_000);
            const { filesCount, elapsedMs } = await closedLoop(server, { concurrency: 256, next });
            storedCount += filesCount;
            return (filesCount * 1_000) / elapsedMs;
          },
        },
        ...naive.map(({ name, atOnce, count }) => ({
          name,
          measure: async (warmUp: boolean) => naiveRate(folder.path, warmUp || bench.quick ? count / 4 : count, atOnce),
        })),
      ];
      const samples = await interleaved("storage-small-files", turns, bench);
      await bed.expectStored(storedCount);
      yield {
        name: "storage-small-files",
        unit: "files/s",
        better: "higher",
        samples,
        references: naive.map(({ name }) => name),
      };
    } finally {
      await bed.stop();
      folder.done();
    }
  },
};

/** What is written stays until the end: ext4 does not use an inode again for minutes after it was freed, and takes long to look for another. */
async function naiveRate(parent: string, filesCount: number, atOnce: number): Promise<number> {
  const dir = mkdtempSync(join(parent, "naive-"));
  const data = randomBytes(sizeBytes);
  const startMs = performance.now();
  await saveNaively(dir, filesCount, data, atOnce);
  const elapsedMs = performance.now() - startMs;
  for (let number = 1; number <= filesCount; number++)
    if (!readFileSync(join(dir, `${number}_file.bin`)).equals(data)) throw new Error(`file ${number} differs`);
  await settleDisk(parent);
  return (filesCount * 1_000) / elapsedMs;
}
