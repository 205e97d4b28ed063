import { fork } from "node:child_process";
import { availableParallelism } from "node:os";

/** Which cases a process is to try: from `first` on, one in `step`. */
export interface CaseShare {
  readonly first: number;
  readonly step: number;
}

/** What a process says of its cases: that it begins one, what was wrong with it, and at the end how many there are for all processes together. */
export type CaseMessage =
  | { readonly kind: "begun"; readonly index: number }
  | { readonly kind: "done"; readonly index: number; readonly violations: readonly string[] }
  | { readonly kind: "end"; readonly casesCount: number };

/** What came of all cases. */
export interface CaseResults {
  readonly casesCount: number;
  readonly violations: readonly string[];
  /** Cases that ended the process that tried them: damage inside LMDB can do that. */
  readonly crashed: readonly number[];
}

/** How many programs one of so many tests on this machine may run at a time. */
export function workersFor(sharedBy: number): number {
  return Math.max(1, Math.floor(availableParallelism() / sharedBy));
}

/** Has cases tried by programs that are handed `{...task, first, step}` as JSON. One that a case has ended is started again behind it. */
export async function runCases(script: string, task: object, workersCount: number): Promise<CaseResults> {
  const violations: string[] = [];
  const crashed: number[] = [];
  let casesCount = 0;
  const work = async (share: CaseShare): Promise<void> => {
    const { crashedAt, end, found } = await runShare(script, { ...task, ...share });
    violations.push(...found);
    casesCount = Math.max(casesCount, end ?? 0);
    if (crashedAt === undefined) return;
    crashed.push(crashedAt);
    await work({ ...share, first: crashedAt + share.step });
  };
  await Promise.all(Array.from({ length: workersCount }, (_, first) => work({ first, step: workersCount })));
  return { casesCount, violations, crashed };
}

/** Tries the cases of this process's share, and reports on each. For the programs that `runCases` starts. */
export async function tryCases(
  { first, step }: CaseShare,
  casesCount: number,
  tryCase: (index: number) => Promise<readonly string[]>,
): Promise<void> {
  const say = (message: CaseMessage) => process.send?.(message);
  for (let index = first; index < casesCount; index += step) {
    say({ kind: "begun", index });
    const violations = await tryCase(index).catch((error: unknown) => [
      `cannot be opened: ${error instanceof Error ? error.stack : error}`,
    ]);
    say({ kind: "done", index, violations });
  }
  say({ kind: "end", casesCount });
  process.disconnect?.();
}

function runShare(script: string, task: object): Promise<{ crashedAt?: number; end?: number; found: string[] }> {
  return new Promise((resolve, reject) => {
    const child = fork(script, [JSON.stringify(task)]);
    const found: string[] = [];
    let at: number | undefined;
    let end: number | undefined;
    child.on("message", (message: CaseMessage) => {
      if (message.kind === "begun") at = message.index;
      if (message.kind === "done") found.push(...message.violations.map((text) => `case ${message.index}: ${text}`));
      if (message.kind === "end") end = message.casesCount;
    });
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      if (end !== undefined) resolve({ end, found });
      else if (at !== undefined) resolve({ crashedAt: at, found });
      else reject(new Error(`${script} ended ${signal ?? `with exit code ${code}`} before its first case`));
    });
  });
}
