import { randomInt } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import type { LocalCluster } from "../cluster.js";
import { killBalancer, stopArgs, stopBalancer } from "./balancer-faults.js";
import { CuttingProxy } from "./cutting-proxy.js";
import { damageState, leaveState } from "./damaged-state.js";
import { fillDisk, SmallDisk } from "./disk-full.js";
import { type BenchOptions, FaultBench } from "./fault-bench.js";
import { loseServer } from "./server-faults.js";

/** One fault test: so many times, the same harm at another moment. */
interface FaultTest {
  readonly cycles: number;
  readonly prepare?: () => Promise<Preparation>;
  /** Once, before the first cycle. */
  readonly begin?: (bench: FaultBench) => Promise<void>;
  readonly cycle: (bench: FaultBench, cycle: number) => Promise<void>;
}

/** What a test needs around its bench. */
interface Preparation {
  readonly options: Partial<BenchOptions>;
  readonly cleanUp?: () => void;
}

let proxies: ReadonlyMap<string, CuttingProxy> = new Map();
let disk: SmallDisk | undefined;
let intactState = "";

const tests: Readonly<Record<string, FaultTest>> = {
  P1: { cycles: 25, cycle: killBalancer },
  P2: { cycles: 20, prepare: withProxies, cycle: (bench, cycle) => loseServer(bench, cycle, proxies) },
  P17: { cycles: 10, prepare: async () => ({ options: { balancerArgs: stopArgs } }), cycle: stopBalancer },
  P7: {
    cycles: 200,
    begin: async (bench) => {
      intactState = await leaveState(bench);
    },
    cycle: (bench, cycle) => damageState(bench, cycle, intactState),
  },
  P8: {
    cycles: 5,
    prepare: withSmallDisk,
    cycle: async (bench, cycle) => disk && fillDisk(bench, cycle, disk),
  },
};

const { values } = parseArgs({
  options: { only: { type: "string" }, cycles: { type: "string" }, seed: { type: "string" } },
});
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
const names = values.only?.split(",") ?? Object.keys(tests);
let failed = false;
for (const name of names) {
  const test = tests[name];
  if (!test) throw new Error(`there is no test ${name}; expected one of ${Object.keys(tests).join(", ")}`);
  if (!(await run(name, test))) failed = true;
}
process.exit(failed ? 1 : 0);

async function run(name: string, test: FaultTest): Promise<boolean> {
  const cycles = values.cycles === undefined ? test.cycles : Number(values.cycles);
  const startMs = performance.now();
  let prepared: Preparation | undefined;
  try {
    prepared = await test.prepare?.();
  } catch (error) {
    console.error(`${name}: NOT RUN, which counts as failed: ${error instanceof Error ? error.message : error}`);
    return false;
  }
  const bench = await FaultBench.start({ test: name, seed, ...prepared?.options });
  let done = 0;
  try {
    await test.begin?.(bench);
    for (; done < cycles; done++) await test.cycle(bench, done + 1);
    if (!test.begin) await bench.judge(cycles, true);
  } catch (error) {
    bench.violations.push(`cycle ${done + 1}: ${error instanceof Error ? error.stack : error}`);
  } finally {
    await bench.end();
    prepared?.cleanUp?.();
  }
  const { lost, twice, corrupt } = bench.findings;
  const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
  console.log(
    `${name}: ${done} cycles, ${bench.acknowledgedCount} uploads acknowledged, ${lost.size} lost, ${twice.size} twice, ` +
      `${corrupt.size} corrupt (${seconds} s, seed ${seed})`,
  );
  if (bench.violations.length === 0) return true;
  for (const violation of bench.violations.slice(0, 40)) console.error(`  ${violation}`);
  console.error(
    `${name} failed: ${bench.violations.length} violations, seed ${seed}, files and logs in ${bench.folder}`,
  );
  return false;
}

/** A proxy in front of each storage server. */
async function withProxies(): Promise<Preparation> {
  const names = ["storage-1", "storage-2", "storage-3"];
  let cluster: LocalCluster | undefined;
  const started = await Promise.all(
    names.map(async (name) => {
      const proxy = await CuttingProxy.start(() => cluster?.server(name).address ?? "");
      return [name, proxy] as const;
    }),
  );
  const byName = new Map(started);
  proxies = byName;
  return {
    options: {
      serverAddress: (name) => byName.get(name)?.address ?? "",
      onCluster: (made) => {
        cluster = made;
      },
    },
    cleanUp: () => {
      for (const proxy of byName.values()) proxy.close();
    },
  };
}

/** The balancer's state on a small file system of its own. */
async function withSmallDisk(): Promise<Preparation> {
  const mounted = new SmallDisk(64);
  disk = mounted;
  // Without its reserve the balancer runs into the full disk, which is what is asked for here.
  const config = path.join(mounted.folder, "balancer.yaml");
  writeFileSync(config, "limits: { minFreeDiskBytes: 0 }\n");
  return {
    options: { stateDir: path.join(mounted.folder, "balancer"), balancerArgs: ["--config", config] },
    cleanUp: () => mounted.unmount(),
  };
}
