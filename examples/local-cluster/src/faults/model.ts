import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { FaultReport, FaultRun } from "./fault-test.js";

/** P14: the balancer's own test of queue and dispatch against a model, with more lives than in `npm test`. */
export async function compareWithModel({ count, seed }: FaultRun): Promise<FaultReport> {
  const mocha = createRequire(import.meta.url).resolve("mocha/bin/mocha.js");
  const test = fileURLToPath(import.meta.resolve("@bilancia/balancer/dist/delivery-model.test.js"));
  const { status, stdout, stderr } = spawnSync(process.execPath, [mocha, "--no-config", "--exit", test], {
    encoding: "utf8",
    env: {
      ...process.env,
      BILANCIA_MODEL_RUNS: String(count),
      BILANCIA_MODEL_SEED: String(seed),
      // What is durable matters here, not the disk.
      TMPDIR: existsSync("/dev/shm") ? "/dev/shm" : tmpdir(),
    },
  });
  const passed = status === 0 && stdout.includes(`in ${count} lives`);
  const violations = passed ? [] : [`${stdout}\n${stderr}`];
  return { done: passed ? count : 0, summary: `${count} lives of a balancer`, violations, folder: path.dirname(test) };
}
