import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BilanciaClient } from "@bilancia/cli/client";
import { bytesSource } from "@bilancia/cli/client/upload-source";
import type { AckStage } from "@bilancia/cli/client/upload-types";
import { balancerStatus } from "../admin.js";
import type { ProcessExit } from "../managed-process.js";
import { FaultBench } from "./fault-bench.js";
import type { FaultReport, FaultRun } from "./fault-test.js";
import { type Injection, SyscallInjector } from "./syscall-injector.js";

type Victim = "balancer" | "storage-1";

/** What is crashed at each of its system calls. */
interface Flow {
  readonly victim: Victim;
  readonly ack: AckStage;
  readonly sizeBytes: number;
}

const flows: readonly Flow[] = [
  { victim: "storage-1", ack: "stored", sizeBytes: 100_000 },
  { victim: "balancer", ack: "queued", sizeBytes: 100_000 },
  { victim: "storage-1", ack: "stored", sizeBytes: 3_000 },
  { victim: "balancer", ack: "queued", sizeBytes: 3_000 },
  { victim: "balancer", ack: "stored", sizeBytes: 700_000 },
  { victim: "storage-1", ack: "stored", sizeBytes: 0 },
];
const crashCalls = [
  ...["fsync", "fdatasync", "pwrite64", "writev", "write", "openat", "close"],
  ...["ftruncate", "link", "unlink", "rename"],
];
const exitTimeoutMs = 5_000;
/** How many files a victim gets in one fault, at most. */
const mostFiles = 150;

/**
 * P3: the balancer is killed at every system call of an enqueue, and a storage server at every one of a save: at its first call of a kind, at its second, and so on until there
 * are no more. Each count is one flow.
 */
export async function crashAtEveryCall({ count, seed }: FaultRun): Promise<FaultReport> {
  const bench = await start("P3", seed);
  let done = 0;
  let crashCount = 0;
  try {
    for (; done < count; done++) {
      const flow = flows[(seed + done) % flows.length] as Flow;
      for (const call of crashCalls) {
        for (let when = 1; await crashAt(bench, flow, call, when); when++) crashCount += 1;
      }
    }
    await bench.judge(done, true);
  } catch (error) {
    bench.violations.push(`after ${crashCount} crashes: ${error instanceof Error ? error.stack : error}`);
  } finally {
    await bench.end();
  }
  const summary = `${done} flows, killed at ${crashCount} system calls, ${summaryOf(bench)}`;
  if (crashCount === 0) bench.violations.push("nothing was killed at any system call");
  return { done, summary, violations: bench.violations, folder: bench.folder };
}

/** P4: one call, or from one on all calls of a kind, fail with EIO or ENOSPC in files of the balancer or of a storage server. */
export async function failCalls({ count, seed }: FaultRun): Promise<FaultReport> {
  const bench = await start("P4", seed);
  let done = 0;
  let injectedCount = 0;
  let endedCount = 0;
  try {
    // A fault that finds no call to fail proves nothing, and is not counted.
    for (let tried = 0; done < count && tried < 5 * count; tried++) {
      const result = await failOnce(bench, tried + 1);
      if (result.injected > 0) done += 1;
      injectedCount += result.injected;
      if (result.ended) endedCount += 1;
    }
    await bench.judge(done, true);
  } catch (error) {
    bench.violations.push(`after ${done} faults: ${error instanceof Error ? error.stack : error}`);
  } finally {
    await bench.end();
  }
  const summary = `${done} faults, ${injectedCount} calls failed, ${endedCount} processes ended themselves, ${summaryOf(bench)}`;
  return { done, summary, violations: bench.violations, folder: bench.folder };
}

function start(test: string, seed: number): Promise<FaultBench> {
  // With one thread for files the calls of one file follow each other, and can be counted.
  process.env.UV_THREADPOOL_SIZE = "1";
  return FaultBench.start({ test, seed, serverCount: 1, mayEnd: true });
}

function summaryOf({ acknowledgedCount, findings: { lost, twice, corrupt } }: FaultBench): string {
  return `${acknowledgedCount} uploads acknowledged, ${lost.size} lost, ${twice.size} twice, ${corrupt.size} corrupt`;
}

/** @returns whether there was such a call */
async function crashAt(bench: FaultBench, flow: Flow, call: string, when: number): Promise<boolean> {
  const { victim } = flow;
  const injection = { calls: [call], what: "signal=KILL", when: String(when) };
  const injector = await SyscallInjector.attach(pidOf(bench, victim), injection);
  const upload = send(bench, `${victim}-${call}-${when}-${flow.ack}-${flow.sizeBytes}.bin`, flow.ack, flow.sizeBytes);
  const exited = bench.cluster.exitOf(victim);
  await Promise.race([exited, upload]);
  await injector.detach();
  // It may have been killed just before strace let go of it, after the answer.
  const exit = await Promise.race([exited, delay(50, undefined)]);
  if (exit) await restart(bench, victim);
  await upload;
  await bench.comeToRest(when);
  return exit !== undefined;
}

async function failOnce(bench: FaultBench, cycle: number): Promise<{ injected: number; ended: boolean }> {
  const { random, cluster, violations } = bench;
  const victim = random.pick(["balancer", "storage-1"]) as Victim;
  const kind = random.pick(["write", "flush", "name", "close"]);
  const error = random.pick(["EIO", "ENOSPC"]);
  const calls = {
    write: ["write", "writev", "pwrite64", "pwritev"],
    flush: ["fsync", "fdatasync", "syncfs"],
    name: ["link", "unlink", "rename"],
    close: ["close"],
  }[kind] as readonly string[];
  // Fresh from its start it can be told which files it will write to.
  await (victim === "balancer" ? cluster.killBalancer("SIGKILL") : cluster.killServer(victim, "SIGKILL"));
  await restart(bench, victim);
  const when = `${random.between(1, kind === "write" ? 8 : 3)}${random.pick(["", "+"])}`;
  const injection: Injection = { calls, what: `error=${error}`, when, paths: await pathsOf(bench, victim) };
  const text = `fault ${cycle}: ${victim}, ${kind} ${when} ${error}`;
  const injector = await SyscallInjector.attach(pidOf(bench, victim), injection);
  const uploaders = bench.upload({ clientCount: 4, budgetBytes: 3 * 1024 * 1024, maxFileBytes: 400_000 });
  // Long enough for a storage server to trim its journal.
  const exit = await Promise.race([cluster.exitOf(victim), delay(random.between(300, 1_500), undefined)]);
  await injector.detach();
  const { injected } = injector;
  const failedFlush = injected.find(({ call }) => /f(data)?sync|syncfs/.test(call));
  const ended =
    exit ?? (failedFlush && (await Promise.race([cluster.exitOf(victim), delay(exitTimeoutMs, undefined)])));
  const comeBack = async (how: ProcessExit) => {
    const words = cluster.logOf(victim);
    // LMDB damages the memory of its process when it cannot write; the C library finds that and says so. That the process ends then is all that can be asked.
    const isLmdbs =
      kind === "write" && how.signal !== null && /Attempting to write page|malloc|free\(\)|corrupted/.test(words);
    if (!isLmdbs && how.code !== 1) violations.push(`${text}: it ended with ${JSON.stringify(how)}`);
    if (!isLmdbs && !words.includes("flush to disk failed")) violations.push(`${text}: it did not say why it ended`);
    await restart(bench, victim);
  };
  if (ended) await comeBack(ended);
  else if (failedFlush) violations.push(`${text}: a flush failed, and it went on: ${failedFlush.call}`);
  const settled = bench.settle(uploaders, cycle);
  // What it could not write may show only with the next use.
  const endedLater = ended ? undefined : await Promise.race([cluster.exitOf(victim), settled.then(() => undefined)]);
  if (endedLater) await comeBack(endedLater);
  await settled;
  return { injected: injected.length, ended: (ended ?? endedLater) !== undefined };
}

/** The files and folders of a victim that has just started, to which it may write next. */
async function pathsOf({ cluster, folder }: FaultBench, victim: Victim): Promise<string[]> {
  const next = (from: number) => Array.from({ length: mostFiles }, (_, index) => String(from + index));
  if (victim === "balancer") {
    const stateDir = path.join(folder, "balancer");
    const spool = path.join(stateDir, "spool");
    const { lastRequestNumber } = await balancerStatus(cluster.balancer.adminAddress);
    const spoolFiles = next(Number(lastRequestNumber) + 1).flatMap((number) => [`${number}.part`, `${number}.index`]);
    return [
      ...[stateDir, spool, path.join(stateDir, "ledger", "data.mdb")],
      ...["numbering.json.new", "numbering-copy.json.new"].map((name) => path.join(stateDir, name)),
      ...spoolFiles.map((name) => path.join(spool, name)),
    ];
  }
  const { dir } = cluster.server(victim);
  const own = path.join(dir, ".bilancia");
  return [dir, path.join(own, "index", "data.mdb"), ...next(1).map((name) => path.join(own, "tmp", name))];
}

function pidOf({ cluster }: FaultBench, victim: Victim): number {
  return victim === "balancer" ? cluster.balancer.pid : cluster.server(victim).pid;
}

function restart({ cluster }: FaultBench, victim: Victim): Promise<void> {
  return victim === "balancer" ? cluster.startBalancer() : cluster.startServer(victim);
}

/** Sends one file, as often as it takes. */
async function send(bench: FaultBench, name: string, ack: AckStage, sizeBytes: number): Promise<void> {
  const { cluster, oracle, random, violations } = bench;
  const limits = { retryForMs: 60_000, rejectionRetryCount: 100, connectTimeoutMs: 20_000 };
  const client = new BilanciaClient({ address: cluster.balancer.address, ...limits });
  const bytes = random.bytes(sizeBytes);
  oracle.sending(name, bytes);
  try {
    for await (const result of client.upload([bytesSource(name, bytes)], { ack })) {
      if (result.state === "stored" || result.state === "queued") {
        oracle.acknowledged(result.name, result.uploadId);
        bench.acknowledgedCount += 1;
      } else violations.push(`${name}: ${result.state}`);
    }
  } finally {
    client.close();
  }
}
