import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { balancerStatus } from "../admin.js";
import { LocalCluster } from "../cluster.js";
import { eventually } from "../test-support/eventually.js";
import { runCases, workersFor } from "./case-runner.js";
import { openQueue } from "./crash-states/open-queue.js";
import { damageOne } from "./damage.js";
import type { DamageTask } from "./damage-judge.js";
import { FaultBench } from "./fault-bench.js";
import type { FaultReport, FaultRun } from "./fault-test.js";
import { Random } from "./random.js";

/** One of so many cases is tried with real programs, the others with the queue alone. */
const casesPerRealStart = 40;
const readyTimeoutMs = 10_000;
const judgeScript = fileURLToPath(new URL("./damage-judge.js", import.meta.url));

/**
 * P7: one file of a killed balancer's spool or ledger is damaged. The queue opens all the same, deletes nothing, and gives out all that is intact, with the bytes that were
 * sent. What cannot be given out any more is reported.
 */
export async function damageStates({ count, seed, sharedBy }: FaultRun): Promise<FaultReport> {
  const bench = await FaultBench.start({ test: "P7", seed, serverCount: 1 });
  const { violations, folder } = bench;
  const scratch = mkdtempSync(path.join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "bilancia-damage-"));
  let done = 0;
  let realCount = 0;
  try {
    const intact = await leaveState(bench);
    const names = await namesIn(intact, scratch);
    for (; realCount < Math.ceil(count / casesPerRealStart); realCount++) {
      await startDamaged(bench, intact, names, new Random(seed + count + realCount), realCount);
    }
    const acknowledged = path.join(folder, "acknowledged.jsonl");
    const task: DamageTask = { intact, acknowledged, count: count - realCount, seed, scratch };
    const results = await runCases(judgeScript, task, workersFor(sharedBy));
    violations.push(...results.violations, ...results.crashed.map((index) => `case ${index}: the process was ended`));
    done = results.casesCount + realCount;
  } finally {
    await bench.end();
    rmSync(scratch, { recursive: true, force: true });
  }
  const summary = `${done} times damaged, ${realCount} of them with real programs, ${bench.acknowledgedCount} uploads in the queue`;
  return { done, summary, violations, folder };
}

/** Fills the balancer's queue, with no server there to empty it, and kills the balancer. */
async function leaveState(bench: FaultBench): Promise<string> {
  const { cluster } = bench;
  for (const { name } of cluster.servers) await cluster.killServer(name, "SIGKILL");
  const uploaders = bench.upload({
    clientCount: 4,
    medianBytes: 16 * 1024,
    budgetBytes: 4 * 1024 * 1024,
    queuedOnly: true,
  });
  await uploaders.exhaust();
  bench.acknowledgedCount += uploaders.acknowledgedCount;
  await cluster.killBalancer("SIGKILL");
  return path.join(bench.folder, "balancer");
}

/** The names of all uploads of an intact state, by request number. */
async function namesIn(intact: string, scratch: string): Promise<Map<number, string>> {
  const copy = path.join(scratch, "intact");
  cpSync(intact, copy, { recursive: true });
  const { queue, close } = await openQueue(copy);
  const names = new Map<number, string>();
  for (let delivery = queue.take(); delivery; delivery = queue.take()) {
    names.set(Number(delivery.requestNumber), delivery.description.name);
  }
  await close();
  return names;
}

/** The same with the real programs: a storage server gets all that is intact. */
async function startDamaged(
  { folder, oracle, violations }: FaultBench,
  intact: string,
  names: ReadonlyMap<number, string>,
  random: Random,
  index: number,
): Promise<void> {
  const own = path.join(folder, `real-${index}`);
  const stateDir = path.join(own, "balancer");
  const dir = path.join(own, "storage-1");
  const logFile = path.join(own, "loadbalancer.log");
  cpSync(intact, stateDir, { recursive: true });
  const harm = damageOne(stateDir, random);
  const say = (text: string) => violations.push(`real start ${index}: ${harm.text}: ${text}`);
  const cluster = new LocalCluster({
    servers: [{ name: "storage-1", weight: 1, dir }],
    balancer: { stateDir, logFile },
    logDir: path.join(own, "logs"),
    readyTimeoutMs,
  });
  try {
    await cluster.start();
    await eventually(async () => {
      const { queuedFiles, dispatchingFiles } = await balancerStatus(cluster.balancer.adminAddress);
      if (queuedFiles + dispatchingFiles > 0n) throw new Error(`${queuedFiles} files are still queued`);
    });
    const { lost, twice, corrupt, unknown } = await oracle.examine([dir]);
    for (const name of [...twice, ...corrupt, ...unknown]) say(`${name} is stored, but not as it should be`);
    const reports = quarantined(logFile);
    const excused = new Set([harm.requestNumber, ...reports.map(({ requestNumber }) => Number(requestNumber))]);
    const isAside = reports.some(({ what }) => what === "ledger");
    if (isAside && harm.requestNumber !== undefined) say("the ledger was moved aside, and was not damaged");
    const silentlyLost = lost.filter(
      (name) => ![...excused].some((number) => number !== undefined && names.get(number) === name),
    );
    if (!isAside) for (const name of silentlyLost) say(`${name} is not stored, and was not reported`);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  } finally {
    await cluster.stop();
  }
}

/** What a balancer's log says of damage. */
function quarantined(logFile: string): { what: string; requestNumber?: string }[] {
  const lines = readFileSync(logFile, "utf8").split("\n");
  return lines.filter((line) => line.includes('"quarantined"')).map((line) => JSON.parse(line) as { what: string });
}
