import { type ChildProcess, fork } from "node:child_process";
import { randomInt } from "node:crypto";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { killBalancer, stopArgs, stopBalancer } from "./balancer-faults.js";
import { runOnBench } from "./bench-test.js";
import { losePower } from "./crash-states/power-loss.js";
import { damageStates } from "./damaged-state.js";
import { runOnSmallDisk } from "./disk-full.js";
import type { FaultTest } from "./fault-test.js";
import { compareWithModel } from "./model.js";
import { cutNetwork } from "./network/own-network.js";
import { flapOverload } from "./overload-flaps.js";
import { loseServers } from "./server-faults.js";
import { freezeServers } from "./server-freezes.js";
import { crashAtEveryCall, failCalls } from "./syscall-faults.js";

/** In the order in which they are begun: the long ones first. */
const tests: Readonly<Record<string, FaultTest>> = {
  P6: { counts: { ci: 10_000, long: 50_000 }, run: losePower },
  P1: { counts: { ci: 25, long: 500 }, run: (run) => runOnBench({ name: "P1", cycle: killBalancer }, run) },
  P2: { counts: { ci: 20, long: 300 }, run: loseServers },
  P3: { counts: { ci: 1, long: 6 }, run: crashAtEveryCall },
  P4: { counts: { ci: 20, long: 400 }, run: failCalls },
  P7: { counts: { ci: 200, long: 2_000 }, run: damageStates },
  P14: { counts: { ci: 1_000, long: 20_000 }, run: compareWithModel },
  P9: { counts: { ci: 10, long: 200 }, run: (run) => runOnBench({ name: "P9", cycle: freezeServers }, run) },
  P9N: { counts: { ci: 8, long: 200 }, run: cutNetwork },
  P16: { counts: { ci: 1, long: 10 }, run: flapOverload },
  P17: {
    counts: { ci: 10, long: 100 },
    run: (run) => runOnBench({ name: "P17", options: { balancerArgs: stopArgs }, cycle: stopBalancer }, run),
  },
  P8: { counts: { ci: 5, long: 50 }, run: runOnSmallDisk },
};

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    cycles: { type: "string" },
    long: { type: "boolean", default: false },
    seed: { type: "string" },
    parallel: { type: "string" },
    "shared-by": { type: "string", default: "1" },
  },
});
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
const names = values.only?.split(",") ?? Object.keys(tests);
const unknown = names.find((name) => !(name in tests));
if (unknown !== undefined)
  throw new Error(`there is no test ${unknown}; expected some of ${Object.keys(tests).join()}`);

const [only] = names;
process.exit((names.length === 1 && only ? await runHere(only) : await runAll()) ? 0 : 1);

/** Runs one test in this process. */
async function runHere(name: string): Promise<boolean> {
  const test = tests[name] as FaultTest;
  const usual = values.long ? test.counts.long : test.counts.ci;
  const count = values.cycles === undefined ? usual : Number(values.cycles);
  const startMs = performance.now();
  try {
    const { done, summary, violations, folder } = await test.run({
      count,
      seed,
      sharedBy: Number(values["shared-by"]),
    });
    const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
    console.log(`${name}: ${summary} (${seconds} s, seed ${seed})`);
    const passed = violations.length === 0 && done >= count;
    for (const violation of violations.slice(0, 40)) console.error(`  ${violation}`);
    if (!passed) {
      const what = `${violations.length} violations, ${done} of ${count} done`;
      console.error(`${name} failed: ${what}, seed ${seed}, files and logs in ${folder}`);
    }
    return passed;
  } catch (error) {
    console.error(`${name}: NOT RUN, which counts as failed: ${error instanceof Error ? error.message : error}`);
    return false;
  }
}

/** Runs each test in a process of its own, some at a time. */
async function runAll(): Promise<boolean> {
  const parallelCount = values.parallel === undefined ? Math.min(2, availableParallelism()) : Number(values.parallel);
  const waiting = [...names];
  const passed: boolean[] = [];
  const children = new Set<ChildProcess>();
  process.on("exit", () => {
    for (const child of children) child.kill();
  });
  const work = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const args = ["--only", name, "--seed", String(seed), "--shared-by", String(parallelCount)];
      if (values.cycles !== undefined) args.push("--cycles", values.cycles);
      if (values.long) args.push("--long");
      const child = fork(fileURLToPath(import.meta.url), args);
      children.add(child);
      passed.push(await new Promise<boolean>((resolve) => child.once("exit", (code) => resolve(code === 0))));
      children.delete(child);
    }
  };
  await Promise.all(Array.from({ length: parallelCount }, work));
  return passed.every((one) => one);
}
