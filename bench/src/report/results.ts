import { type Spread, spread } from "./statistics.js";

/** Whether more is better (files a second) or less is (milliseconds). */
export type Better = "higher" | "lower";

/** A bound on ours: `atLeast` or `atMost` so many times another contender's median, or so many units where `against` is missing. */
export interface Goal {
  /** The contenders to compare with: the best of them counts. */
  readonly against?: readonly string[];
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** What a workload measured: for each contender one figure a round, `ours` among them. */
export interface Measured {
  readonly name: string;
  readonly unit: string;
  readonly better: Better;
  readonly samples: Readonly<Record<string, readonly number[]>>;
  /** Which of them are no peers, but bounds or base lines. */
  readonly references?: readonly string[];
  readonly goals?: readonly Goal[];
  /** What a reader must know to read the figures. */
  readonly notes?: readonly string[];
}

/** How a goal came out. */
export interface GoalResult extends Goal {
  /** Ours divided by the best of `against`, or ours itself. */
  readonly reached: number;
  readonly met: boolean;
}

/** One line of the result, as the JSON has it. */
export interface WorkloadResult {
  readonly name: string;
  readonly unit: string;
  readonly better: Better;
  readonly rounds: number;
  readonly quick: boolean;
  readonly ours: Spread;
  readonly peers: Readonly<Record<string, Spread>>;
  /** Bounds and base lines: what no one would put in the balancer's place. */
  readonly references: Readonly<Record<string, Spread>>;
  /** The median of ours divided by that of the best peer; missing where there are no peers. */
  readonly ratioToBest?: number;
  readonly goals: readonly GoalResult[];
  readonly notes: readonly string[];
}

/** A whole run, as the JSON has it. */
export interface RunResult {
  readonly machine: Readonly<Record<string, string>>;
  readonly workloads: readonly WorkloadResult[];
}

export const oursName = "ours";

/** Every contender's figures, ours first. */
export function allSpreads({ ours, peers, references }: WorkloadResult): [string, Spread][] {
  return Object.entries({ [oursName]: ours, ...peers, ...references });
}

/** Sums up what was measured. Goals against contenders that were left out are left out too. */
export function summarize(measured: Measured, quick: boolean): WorkloadResult {
  const { name, unit, better, samples, references: referenceNames = [], goals = [], notes = [] } = measured;
  const { [oursName]: ourSamples, ...others } = samples;
  if (!ourSamples) throw new RangeError(`${name} has no figures of ours`);
  const ours = spread(ourSamples);
  const spreads = Object.entries(others).map(([contender, figures]) => [contender, spread(figures)] as const);
  const isReference = ([contender]: readonly [string, Spread]) => referenceNames.includes(contender);
  const references = Object.fromEntries(spreads.filter(isReference));
  const peers = Object.fromEntries(spreads.filter((entry) => !isReference(entry)));
  const best = bestOf(Object.values(peers), better);
  return {
    ...{ name, unit, better, quick, ours, peers, references, notes },
    rounds: ourSamples.length,
    ...(best === undefined ? {} : { ratioToBest: ours.median / best }),
    goals: goals.flatMap((goal) => judge(goal, ours, { ...peers, ...references }, better)),
  };
}

/** Puts runs together; of a workload that several have, the last counts. The machine is the last run's, with the commits of all that is in it. */
export function merge(runs: readonly RunResult[]): RunResult {
  const latest = new Map<string, { workload: WorkloadResult; commit: string | undefined }>();
  for (const { workloads, machine } of runs)
    for (const workload of workloads) latest.set(workload.name, { workload, commit: machine.commit });
  const commits = new Set([...latest.values()].flatMap(({ commit }) => commit ?? []));
  const commit = commits.size > 0 ? { commit: [...commits].join(", ") } : {};
  return {
    machine: { ...runs.at(-1)?.machine, ...commit },
    workloads: [...latest.values()].map(({ workload }) => workload),
  };
}

/** Reads a run from the JSON of one. @throws Error for what is no such JSON, with the place */
export function parseRun(text: string): RunResult {
  const run: unknown = JSON.parse(text);
  if (!isRecord(run) || !isRecord(run.machine) || !Array.isArray(run.workloads))
    throw new Error(`expected an object with "machine" and "workloads"`);
  for (const [index, workload] of run.workloads.entries()) {
    const whole =
      isRecord(workload) &&
      ["name", "unit", "better"].every((key) => typeof workload[key] === "string") &&
      isSpread(workload.ours) &&
      [workload.peers, workload.references].every((map) => isRecord(map) && Object.values(map).every(isSpread)) &&
      Array.isArray(workload.goals) &&
      Array.isArray(workload.notes);
    if (!whole) throw new Error(`workloads[${index}] is no workload's result`);
  }
  return run as unknown as RunResult;
}

function judge(goal: Goal, ours: Spread, all: Readonly<Record<string, Spread>>, better: Better): GoalResult[] {
  const others = (goal.against ?? []).flatMap((name) => all[name] ?? []);
  const best = bestOf(others, better);
  if (goal.against && best === undefined) return [];
  // Without a peer the bound is absolute: nothing of any round may be beyond it.
  const worst = goal.atMost === undefined ? ours.min : ours.max;
  const reached = best === undefined ? worst : ours.median / best;
  const { atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY } = goal;
  return [{ ...goal, reached, met: reached >= atLeast && reached <= atMost }];
}

function bestOf(spreads: readonly Spread[], better: Better): number | undefined {
  if (spreads.length === 0) return undefined;
  const medians = spreads.map(({ median }) => median);
  return better === "higher" ? Math.max(...medians) : Math.min(...medians);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSpread(value: unknown): value is Spread {
  return isRecord(value) && ["median", "min", "max"].every((key) => typeof value[key] === "number");
}
