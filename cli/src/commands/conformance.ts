import { spawn } from "node:child_process";
import type { Check, Kit } from "../conformance/check.js";
import type { Probe } from "../conformance/probe.js";
import { type CheckReport, runChecks } from "../conformance/run-checks.js";
import { counted, humanDuration, printable } from "../output/human.js";
import type { Style } from "../output/screen.js";
import { type CommandContext, exitCode, UsageError } from "./command-context.js";
import { credentialsOf } from "./credentials.js";

/** What to try, and how. */
export interface ConformanceOptions {
  readonly only?: readonly string[];
  readonly level: "required" | "full";
  readonly restartCmd?: string;
  readonly overloadFiles?: number;
  readonly busyFiles?: number;
  readonly maxFileBytes?: number;
  readonly queueFiles?: number;
  /** In milliseconds. */
  readonly answerTimeout: number;
  readonly seed: number;
}

/** How long a server may be busy, and take to serve again after a restart, in milliseconds. */
const patienceMs = 30_000;

const styles: Readonly<Record<CheckReport["result"], Style>> = {
  holds: "green",
  fails: "red",
  "not implemented": "dim",
  "not tested": "yellow",
};

/**
 * Drives a server through the contract, and tells of each check what came of it. Returns the exit code: 0 where nothing that was tried fails.
 *
 * @throws UsageError, UnreachableError
 */
export async function conformance<P extends Probe>(
  kit: Kit<P>,
  address: string,
  options: ConformanceOptions,
  context: CommandContext,
): Promise<number> {
  const { screen, json } = context;
  const { restartCmd, overloadFiles, busyFiles, maxFileBytes, queueFiles, seed } = options;
  const checks = chosenChecks(kit.checks, options);
  const width = Math.max(...checks.map(({ name }) => name.length));
  const restart = restartCmd === undefined ? undefined : () => runShell(restartCmd);
  const probeOptions = {
    address,
    credentials: credentialsOf(context),
    timeoutMs: options.answerTimeout,
    patienceMs,
    seed,
    restart,
    overloadFiles,
    busyFiles,
    maxFileBytes,
    queueFiles,
  };
  const reports: CheckReport[] = [];
  for await (const report of runChecks(kit, checks, probeOptions)) {
    reports.push(report);
    const { check, result, message, tookMs } = report;
    if (json) {
      const { name, level, rule } = check;
      await screen.print(JSON.stringify({ check: name, level, result, message, rule, tookMs: Math.round(tookMs) }));
      continue;
    }
    const detail = result === "holds" ? humanDuration(tookMs) : printable(message);
    await screen.print(`${screen.paint(styles[result], result.padEnd(15))}  ${check.name.padEnd(width)}  ${detail}`);
    if (result === "fails") await screen.print(`${" ".repeat(17)}The contract: ${check.rule}`);
  }
  const failed = reports.filter(({ result }) => result === "fails");
  if (!json) await screen.print(`\n${summary(reports, seed)}`);
  return failed.length === 0 ? exitCode.ok : exitCode.failed;
}

function chosenChecks<P>(all: readonly Check<P>[], { only, level }: ConformanceOptions): Check<P>[] {
  const matches = (check: Check<P>, wanted: string) => check.name === wanted || check.name.startsWith(`${wanted}.`);
  for (const wanted of only ?? [])
    if (!all.some((check) => matches(check, wanted)))
      throw new UsageError(`there is no check '${wanted}'; expected one of ${all.map(({ name }) => name).join(", ")}`);
  const checks = all.filter(
    (check) =>
      (level === "full" || check.level === "required") && (!only || only.some((wanted) => matches(check, wanted))),
  );
  if (checks.length === 0) throw new UsageError("none of these checks is required; expected --level full with them");
  return checks;
}

function summary(reports: readonly CheckReport[], seed: number): string {
  const of = (result: CheckReport["result"]) => reports.filter((report) => report.result === result);
  const parts = [`${of("holds").length} of ${counted(reports.length, "check")} hold`];
  for (const result of ["fails", "not implemented", "not tested"] as const)
    if (of(result).length > 0) parts.push(`${of(result).length} ${result === "fails" ? "failed" : result}`);
  const untested = of("not tested").filter(({ check }) => check.level === "required");
  const missing = [...new Set(untested.map(({ message }) => message.replace("give ", "")))];
  if (missing.length > 0) parts.push(`required ones were left out: give ${missing.join(", ")}`);
  return `${parts.join("; ")} (seed ${seed})`;
}

/** Runs a command by the shell, to its end. @throws UsageError when it fails */
function runShell(command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // Its output goes to the side: standard output is for results.
    const child = spawn(command, { shell: true, stdio: ["ignore", process.stderr, process.stderr] });
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      if (code === 0) resolve();
      else reject(new UsageError(`the restart command ended with ${signal ?? `code ${code}`}; expected code 0`));
    });
  });
}
