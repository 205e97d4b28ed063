import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { runCases, workersFor } from "../case-runner.js";
import type { FaultReport, FaultRun } from "../fault-test.js";
import { type Flow, recordFlow, requireStrace } from "./record-flow.js";
import type { JudgeTask } from "./state-judge.js";
import { foreignFiles } from "./storage-verdict.js";

const flows: readonly Flow[] = [
  {
    name: "storage",
    subject: "storage",
    args: ["1"],
    prepare: (root) => {
      for (const [name, text] of foreignFiles) writeFileSync(path.join(root, name), text);
    },
  },
  { name: "storage-again", subject: "storage", args: ["101"] },
  { name: "queue", subject: "queue", args: [] },
  { name: "queue-again", subject: "queue", args: [] },
];
/** States of each record that are judged as if nothing had ever been flushed: there, files must be found missing. */
const controlCount = 60;
const judgeScript = fileURLToPath(new URL("./state-judge.js", import.meta.url));

/**
 * P6: what a crash or a power failure may leave of a storage server's folder and of the balancer's state, rebuilt from a record of their system calls, is opened again. Each
 * is recorded twice: from an empty folder, and from what the first record's sudden end has left.
 */
export async function losePower({ count, seed, sharedBy }: FaultRun): Promise<FaultReport> {
  requireStrace();
  const folder = mkdtempSync(path.join(tmpdir(), "bilancia-faults-P6-"));
  const scratch = mkdtempSync(path.join(existsSync("/dev/shm") ? "/dev/shm" : folder, "bilancia-states-"));
  const violations: string[] = [];
  let statesCount = 0;
  let controls = "";
  try {
    for (const flow of flows) {
      recordFlow(flow, folder);
      const task = { folder, flow, wanted: Math.ceil(count / flows.length), seed, ignoreFlushes: false, scratch };
      const found = await judgeAll(task, workersFor(sharedBy));
      statesCount += found.statesCount;
      violations.push(...found.violations);
      const control = await judgeAll({ ...task, wanted: controlCount, ignoreFlushes: true }, workersFor(sharedBy));
      controls += ` ${control.violations.length}/${control.statesCount}`;
      if (control.violations.length === 0)
        violations.push(`${flow.name}: without any flush nothing was found missing either`);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  if (violations.length === 0) rmSync(folder, { recursive: true, force: true });
  return {
    done: statesCount,
    summary: `${statesCount} different states of the disk, ${violations.length} not valid (without flushes:${controls})`,
    violations,
    folder,
  };
}

/** Has all states of a record judged. */
async function judgeAll(task: JudgeTask, workersCount: number): Promise<{ statesCount: number; violations: string[] }> {
  const { casesCount: statesCount, violations, crashed } = await runCases(judgeScript, task, workersCount);
  // The balancer looks at its ledger in a process of its own first, which costs too much to do with every state.
  const again = await runCases(judgeScript, { ...task, suspects: crashed }, 1);
  const ended = again.crashed.map((index) => `state ${crashed[index]} ends the process that opens it`);
  const all = [...violations, ...again.violations, ...ended];
  return { statesCount, violations: all.map((violation) => `${task.flow.name}: ${violation}`) };
}
