import { createReadStream } from "node:fs";
import { serversOf, summarize } from "@bilancia/balancer/dist/domain/load-summary.js";
import { readTraceLine } from "@bilancia/balancer/dist/domain/pick-trace.js";
import type { PolicyName } from "@bilancia/balancer/dist/domain/policy.js";
import { LoadReader, type RecordedLoad } from "@bilancia/balancer/dist/domain/recorded-load.js";
import { simulate as simulateLoad } from "@bilancia/balancer/dist/domain/simulation.js";
import { describeError } from "@bilancia/proto/system-error";
import { counted, humanCount } from "../output/human.js";
import { comparisonTables, summaryJson } from "../output/simulation-report.js";
import { type CommandContext, exitCode, UsageError } from "./command-context.js";
import { seededRandom } from "./draw.js";

/** What `simulate` is told. */
export interface SimulateOptions {
  readonly trace: readonly string[];
  /** Default: the one that was recorded. */
  readonly policy?: PolicyName;
  /** By server. Default: as they were recorded. */
  readonly weights?: ReadonlyMap<string, number>;
  readonly seed: number;
}

/** Replays a recorded load under another policy, and compares. Returns the exit code. @throws UsageError where the trace cannot be used */
export async function simulate(options: SimulateOptions, { screen, json }: CommandContext): Promise<number> {
  const { load, unreadable } = await readTrace(options.trace);
  const { policy: recordedPolicy } = load;
  if (recordedPolicy === undefined || load.files.length === 0)
    throw new UsageError(`--trace: expected files that were stored; ${options.trace.join(", ")} has none`);
  const servers = serversOf(load);
  const weights = options.weights ?? new Map<string, number>();
  const stranger = [...weights.keys()].find((name) => !servers.includes(name));
  if (stranger !== undefined)
    throw new UsageError(`--weights: no server ${stranger} in the trace; expected some of ${servers.join(", ")}`);
  const policy = options.policy ?? recordedPolicy;
  const simulated = simulateLoad(load, { policy, weights, random: seededRandom(options.seed) });
  const compared = { recorded: summarize(load.files, servers), simulated: summarize(simulated.files, servers) };
  const { failedAttempts, halfAttempts, missingLines } = load;
  const leftOut = {
    failedAttempts,
    halfAttempts,
    missingLines,
    unreadableLines: unreadable.count,
    unplacedFiles: simulated.unplacedFiles,
  };
  if (unreadable.count > 0)
    screen.remark(
      `${screen.paintSide("yellow", "warning:")} ${counted(unreadable.count, "line")} left out; the first: ${unreadable.first}`,
    );
  if (json) {
    await screen.print(
      JSON.stringify({
        recorded: { policy: recordedPolicy, ...summaryJson(compared.recorded) },
        simulated: {
          policy,
          weights: Object.fromEntries(weights),
          seed: options.seed,
          ...summaryJson(compared.simulated),
        },
        leftOut,
      }),
    );
    return exitCode.ok;
  }
  const given =
    weights.size === 0 ? "" : `, weights ${[...weights].map(([name, weight]) => `${name}=${weight}`).join(",")}`;
  await screen.print(`${counted(load.files.length, "file")}, ${recordedPolicy} as recorded → ${policy}${given}\n`);
  await screen.print(comparisonTables(compared, screen));
  const left = Object.entries(leftOut).filter(([, count]) => count > 0);
  if (left.length > 0)
    await screen.print(
      `\nleft out: ${left.map(([what, count]) => `${humanCount(count)} ${wordsOf[what] ?? what}`).join(", ")}`,
    );
  return exitCode.ok;
}

const wordsOf: Readonly<Record<string, string>> = {
  failedAttempts: "attempts that failed",
  halfAttempts: "attempts of which the trace has one half",
  missingLines: "lines that the balancer could not write",
  unreadableLines: "lines that cannot be read",
  unplacedFiles: "files for which no server was left",
};

async function readTrace(
  files: readonly string[],
): Promise<{ load: RecordedLoad; unreadable: { count: number; first: string } }> {
  const reader = new LoadReader();
  const unreadable = { count: 0, first: "" };
  for (const file of files) {
    let number = 0;
    try {
      for await (const text of linesOf(file)) {
        number += 1;
        if (text === "") continue;
        const line = readTraceLine(text);
        if (line.kind !== "unreadable") reader.add(line);
        else if (unreadable.count++ === 0) unreadable.first = `${file}, line ${number}: ${line.problem}`;
      }
    } catch (error) {
      throw new UsageError(`--trace: cannot read ${file}: ${describeError(error)}`);
    }
  }
  return { load: reader.load(), unreadable };
}

async function* linesOf(file: string): AsyncGenerator<string, void, undefined> {
  let begun = "";
  for await (const text of createReadStream(file, { encoding: "utf8" }) as AsyncIterable<string>) {
    const lines = (begun + text).split("\n");
    begun = lines.pop() ?? "";
    yield* lines;
  }
  yield begun;
}
