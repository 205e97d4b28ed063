import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type BenchArguments, parseArguments, UsageError, usage } from "./arguments.js";
import type { Bench } from "./bench.js";
import { findProgram, peerNames, proxyNames } from "./peers/peers.js";
import { chart } from "./report/chart.js";
import { describeMachine } from "./report/machine.js";
import { markdownReport } from "./report/markdown.js";
import { merge, parseRun, type RunResult, summarize, type WorkloadResult } from "./report/results.js";
import { seededRandom } from "./report/statistics.js";
import { textReport } from "./report/text.js";
import { workloads } from "./workloads/all.js";

const docs = fileURLToPath(new URL("../../docs/", import.meta.url));
const profileHook = fileURLToPath(new URL("./programs/profile-hook.js", import.meta.url));
const memoryFolder = "/dev/shm";

// Whatever was started listens to 'exit'; by custom the code is 128 + the signal's number.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, (_: NodeJS.Signals, code: number) => process.exit(128 + code));

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

/** Exit codes: 0 measured, 1 something failed, 2 wrong usage. */
async function main(args: readonly string[]): Promise<void> {
  const options = parseArguments(
    args,
    workloads.map(({ name }) => name),
  );
  if (options.help) {
    process.stdout.write(`${usage}\nworkloads: ${workloads.map(({ name }) => name).join(", ")}\n`);
    return;
  }
  const run = options.render.length > 0 ? merge(options.render.map(readRun)) : await measure(options);
  if (options.render.length > 0)
    for (const workload of run.workloads) process.stdout.write(`${textReport(workload)}\n`);
  if (options.json !== undefined) writeRun(options.json, run);
  if (options.docs) writeDocs(run);
}

async function measure(options: BenchArguments): Promise<RunResult> {
  const { quick, rounds, only, dir, requirePeers } = options;
  const missing = peerNames.filter((name) => findProgram(name) === undefined);
  if (missing.length > 0) {
    const words = `${missing.join(", ")} not found here; bench/setup.sh installs the peers`;
    if (requirePeers) throw new Error(words);
    process.stderr.write(`bench: LEFT OUT: ${words}\n`);
  }
  const bench: Bench = {
    ...{ quick, rounds, dir: resolve(dir) },
    tmpfs: existsSync(memoryFolder) ? memoryFolder : undefined,
    proxies: proxyNames.filter((name) => !missing.includes(name)),
    natsServer: findProgram("nats-server"),
    random: seededRandom(Date.now()),
    log: (words) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${words}\n`),
  };
  const places = { disk: bench.dir, ...(bench.tmpfs === undefined ? {} : { tmpfs: bench.tmpfs }) };
  const machine = describeMachine(places);
  if (options.profile !== undefined) profileChildren(options.profile);
  const results: WorkloadResult[] = [];
  let failed = false;
  for (const workload of workloads) {
    if (only.length > 0 && !only.includes(workload.name)) continue;
    try {
      for await (const measured of workload.run(bench)) {
        const result = summarize(measured, quick);
        results.push(result);
        process.stdout.write(`${textReport(result)}\n`);
        // After each: a run that is ended keeps what it has.
        if (options.json !== undefined) writeRun(options.json, { machine, workloads: results });
      }
    } catch (error) {
      // One that fails must not cost an hour of others.
      failed = true;
      process.stderr.write(`bench: ${workload.name} FAILED: ${error instanceof Error ? error.stack : error}\n`);
    }
  }
  if (failed) process.exitCode = 1;
  return { machine, workloads: results };
}

/** Has every Node process that is started from now on write a CPU profile when it ends. */
function profileChildren(dir: string): void {
  mkdirSync(dir, { recursive: true });
  process.env.BENCH_PROFILE_DIR = resolve(dir);
  process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ""} --import=${profileHook}`.trim();
}

function readRun(file: string): RunResult {
  try {
    return parseRun(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(`${file}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

function writeRun(file: string, run: RunResult): void {
  writeFileSync(file, `${JSON.stringify(run, undefined, 2)}\n`);
}

function writeDocs(run: RunResult): void {
  const about = Object.fromEntries(workloads.map(({ name, about: words }) => [name, words]));
  writeFileSync(`${docs}benchmarks.md`, markdownReport(run, about, "benchmarks.svg"));
  writeFileSync(`${docs}benchmarks.svg`, chart(run.workloads));
}
