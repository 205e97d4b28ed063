import { type BenchOptions, FaultBench } from "./fault-bench.js";
import type { FaultReport, FaultRun } from "./fault-test.js";

/** A fault that is brought about in a running cluster, cycle after cycle. */
export interface BenchTest {
  readonly name: string;
  readonly options?: Partial<BenchOptions>;
  /** Once, before the first cycle. */
  readonly begin?: (bench: FaultBench) => Promise<void>;
  readonly cycle: (bench: FaultBench, cycle: number) => Promise<void>;
}

/** Runs the cycles, has everything read again at the end, and stops the cluster. */
export async function runOnBench(test: BenchTest, { count, seed, sharedBy }: FaultRun): Promise<FaultReport> {
  const bench = await FaultBench.start({ test: test.name, seed, sharedBy, ...test.options });
  let done = 0;
  try {
    await test.begin?.(bench);
    for (; done < count; done++) await test.cycle(bench, done + 1);
    await bench.judge(count, true);
  } catch (error) {
    bench.violations.push(`cycle ${done + 1}: ${error instanceof Error ? error.stack : error}`);
  } finally {
    await bench.end();
  }
  const { lost, twice, corrupt } = bench.findings;
  const { acknowledgedCount, violations, folder } = bench;
  const summary = `${done} cycles, ${acknowledgedCount} uploads acknowledged, ${lost.size} lost, ${twice.size} twice, ${corrupt.size} corrupt`;
  return { done, summary, violations, folder };
}
