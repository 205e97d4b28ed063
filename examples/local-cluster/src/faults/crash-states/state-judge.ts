import { mkdtempSync, rmSync } from "node:fs";
import path from "node:path";
import { type CaseShare, tryCases } from "../case-runner.js";
import { Random } from "../random.js";
import { CrashStates } from "./crash-state.js";
import { enumerateStates } from "./enumeration.js";
import { parseMarks } from "./marks.js";
import { judgeQueue } from "./queue-verdict.js";
import { type Flow, loadRecord } from "./record-flow.js";
import { judgeStorage } from "./storage-verdict.js";

/** What a judge is to do. */
export interface JudgeTask {
  readonly folder: string;
  readonly flow: Pick<Flow, "name" | "subject">;
  /** How many states there shall be. */
  readonly wanted: number;
  readonly seed: number;
  readonly ignoreFlushes: boolean;
  /** Where states are rebuilt. */
  readonly scratch: string;
  /** The only states to look at. The ledger is read in a process of its own before, as the balancer does, for LMDB may end whoever opens it. */
  readonly suspects?: readonly number[];
}

/** A program: rebuilds the states of one record, opens each, and judges. */
const task = JSON.parse(process.argv[2] ?? "") as JudgeTask & CaseShare;
const { record, earlierMarks } = loadRecord(task.folder, task.flow);
const states = new CrashStates(record, task.ignoreFlushes);
const all = enumerateStates(record, states, task.wanted, new Random(task.seed));

async function judge(index: number): Promise<readonly string[]> {
  const state = all[task.suspects?.[index] ?? index];
  if (!state) throw new Error(`there is no state ${index}`);
  const root = mkdtempSync(path.join(task.scratch, "state-"));
  const times = states.build(state, root);
  const marks = parseMarks([...earlierMarks, ...states.marksAt(state.at)]);
  const judged =
    task.flow.subject === "storage"
      ? judgeStorage(root, marks, times)
      : judgeQueue(root, marks, task.suspects !== undefined);
  const violations = await judged.finally(() => rmSync(root, { recursive: true, force: true }));
  const lost = JSON.stringify([[...state.fates], [...state.namesUpTo]]);
  return violations.map((violation) => `${violation} (after ${state.at} operations, lost: ${lost})`);
}

await tryCases(task, task.suspects?.length ?? all.length, judge);
