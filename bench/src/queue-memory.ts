import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fillQueue } from "./filled-queue.js";
import { startProgram } from "./program-process.js";
import { SinkStorage } from "./sink-storage.js";

// The memory of a balancer with very many files queued: at rest, with no server there, and while it delivers all of them. BENCH_DIR names the disk,
// BENCH_FILES how many, BENCH_DELIVERED how many of them are delivered. Fails where more was
// ever resident than the limits allow.
const filesCount = Number(process.env.BENCH_FILES ?? 1_000_000);
const deliveredCount = Number(process.env.BENCH_DELIVERED ?? filesCount);
const sizeBytes = 200;
const [queuedLimitMiB, deliveringLimitMiB] = [400, 512];
const sampleMs = 200;

const figures = ["VmRSS", "RssAnon", "RssFile", "VmHWM"] as const;
type Memory = Record<(typeof figures)[number], number>;

/** From `/proc/PID/status`, in MiB: all that is resident, what is the process's own, what is mapped from files; the most that ever was. */
async function memoryOf(pid: number): Promise<Memory> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  const read = (name: string) => Math.round(Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) / 1024);
  return Object.fromEntries(figures.map((name) => [name, read(name)])) as Memory;
}

function say(what: string, memory: Memory): void {
  const text = figures.map((name) => `${name} ${String(memory[name]).padStart(4)}`).join("  ");
  process.stdout.write(`${what.padEnd(34)} ${text}  MiB\n`);
}

/** An address where nobody listens yet. */
async function freeAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}

const base = await mkdtemp(join(resolve(process.env.BENCH_DIR ?? "."), ".bench-"));
try {
  const stateDir = join(base, "state");
  let startMs = performance.now();
  await fillQueue(stateDir, filesCount, sizeBytes);
  const ledgerMiB = Math.round((await stat(join(stateDir, "ledger", "data.mdb"))).size / 1024 ** 2);
  const secondsSince = () => ((performance.now() - startMs) / 1000).toFixed(1);
  process.stdout.write(`${filesCount} queued files in a ledger of ${ledgerMiB} MiB, written in ${secondsSince()} s\n`);

  const sinkAddress = await freeAddress();
  startMs = performance.now();
  const balancer = await startProgram("balancer", [
    ...["--state-dir", stateDir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
    ...["--log-file", join(base, "balancer.log")],
    ...["--server", `name=sink,address=${sinkAddress},weight=1`],
  ]);
  process.stdout.write(`ready in ${secondsSince()} s\n`);
  say("ready", await memoryOf(balancer.pid));
  await delay(5_000);
  const queued = await memoryOf(balancer.pid);
  say("5 s later, no server", queued);

  const sink = new SinkStorage();
  await sink.start(sinkAddress);
  startMs = performance.now();
  const most: Memory = { VmRSS: 0, RssAnon: 0, RssFile: 0, VmHWM: 0 };
  for (let told = 0; sink.savedFiles < deliveredCount; ) {
    await delay(sampleMs);
    const now = await memoryOf(balancer.pid);
    for (const name of figures) most[name] = Math.max(most[name], now[name]);
    const tenth = Math.floor((sink.savedFiles * 10) / deliveredCount);
    if (tenth === told) continue;
    told = tenth;
    say(`${sink.savedFiles} delivered`, now);
  }
  process.stdout.write(`delivered in ${secondsSince()} s\n`);
  say("most of each while delivering", most);
  const last = await memoryOf(balancer.pid);
  say("at the end", last);
  await balancer.stop();
  sink.stop();
  for (const [what, cameMiB, limitMiB] of [
    ["queued", queued.VmHWM, queuedLimitMiB],
    ["delivered", last.VmHWM, deliveringLimitMiB],
  ] as const) {
    if (cameMiB <= limitMiB) continue;
    process.stdout.write(
      `too much: ${cameMiB} MiB were resident when all was ${what}; expected at most ${limitMiB} MiB\n`,
    );
    process.exitCode = 1;
  }
} finally {
  await rm(base, { recursive: true, force: true });
}
