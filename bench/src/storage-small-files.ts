import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { StorageClient } from "@bilancia/proto/services";
import { credentials } from "@grpc/grpc-js";
import { saveNaively } from "./naive-save.js";
import { startProgram } from "./program-process.js";
import { saveOverStream } from "./stream-save.js";

// How many small files a second a storage server acknowledges, against one flush per file on the same disk; in turns, so that both meet the
// same disk. BENCH_DIR names the disk.
const sizeBytes = 4 * 1024;
const naiveFilesCount = 2_000;
const naiveConcurrency = 64;
const serverFilesCount = 20_000;
const maxOutstanding = 256;
const rounds = 5;

async function perSecond(filesCount: number, act: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await act();
  return (filesCount * 1_000) / (performance.now() - startMs);
}

async function verify(dir: string, firstNumber: number, filesCount: number, data: Buffer): Promise<void> {
  for (let number = firstNumber; number < firstNumber + filesCount; number++) {
    const stored = await readFile(join(dir, `${number}_file.bin`));
    if (!stored.equals(data)) throw new Error(`${number}_file.bin differs from what was sent`);
  }
}

function summary(title: string, figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b);
  const [min = 0, median = 0, max = 0] = [0, Math.floor(sorted.length / 2), sorted.length - 1].map((at) => sorted[at]);
  const [medianText, minText, maxText] = [median, min, max].map((figure) => figure.toFixed(0).padStart(7));
  process.stdout.write(`${title.padEnd(28)} median ${medianText}  min ${minText}  max ${maxText}  files/s\n`);
  return median;
}

const base = await mkdtemp(join(resolve(process.env.BENCH_DIR ?? "."), ".bench-"));
try {
  const serverDir = join(base, "server");
  const options = ["--listen", "127.0.0.1:0", "--dir", serverDir, "--overload-memory-percent", "off"];
  const storage = await startProgram("storage", options);
  const client = new StorageClient(storage.address, credentials.createInsecure());
  const naive: number[] = [];
  const server: number[] = [];
  let firstNumber = 1;
  for (let round = 0; round < rounds; round++) {
    const data = randomBytes(sizeBytes);
    const naiveDir = join(base, `naive-${round}`);
    await mkdir(naiveDir);
    naive.push(await perSecond(naiveFilesCount, () => saveNaively(naiveDir, naiveFilesCount, data, naiveConcurrency)));
    await verify(naiveDir, 1, naiveFilesCount, data);
    const files = { firstNumber, filesCount: serverFilesCount, data, maxOutstanding };
    server.push(await perSecond(serverFilesCount, () => saveOverStream(client, files)));
    await verify(serverDir, firstNumber, serverFilesCount, data);
    firstNumber += serverFilesCount;
    const [naiveText, serverText] = [naive, server].map((figures) => figures.at(-1)?.toFixed(0));
    process.stdout.write(`round ${round + 1}: one flush per file ${naiveText}, storage server ${serverText} files/s\n`);
  }
  client.close();
  await storage.stop();
  const storedCount = (await readdir(serverDir)).filter((name) => name.endsWith("_file.bin")).length;
  if (storedCount !== rounds * serverFilesCount) throw new Error(`${storedCount} files are stored`);
  const naiveMedian = summary("one flush per file (64 at once)", naive);
  const serverMedian = summary("storage server (256 waiting)", server);
  process.stdout.write(`ratio of the medians: ${(serverMedian / naiveMedian).toFixed(1)}\n`);
} finally {
  await rm(base, { recursive: true, force: true });
}
