import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { balancerStatus } from "../admin.js";
import { ManagedProcess } from "../managed-process.js";
import { eventually } from "../test-support/eventually.js";
import type { FaultBench } from "./fault-bench.js";
import type { Random } from "./random.js";

const balancerScript = fileURLToPath(import.meta.resolve("@bilancia/balancer/bin/bilancia-balancer.js"));
const readyTimeoutMs = 10_000;

/** Fills the balancer's queue, with no server there to empty it, and kills the balancer: what P7 damages copies of. */
export async function leaveState(bench: FaultBench): Promise<string> {
  const { cluster } = bench;
  for (const { name } of cluster.servers) await cluster.killServer(name, "SIGKILL");
  const uploaders = bench.upload({
    clientCount: 4,
    medianBytes: 64 * 1024,
    budgetBytes: 4 * 1024 * 1024,
    queuedOnly: true,
  });
  await uploaders.finish();
  await cluster.killBalancer("SIGKILL");
  return path.join(bench.folder, "balancer");
}

/** P7: one file of a stopped balancer's spool or ledger is damaged; the balancer starts all the same, and deletes nothing. */
export async function damageState(bench: FaultBench, cycle: number, intact: string): Promise<void> {
  const stateDir = path.join(bench.folder, `state-${cycle}`);
  cpSync(intact, stateDir, { recursive: true });
  const spoolFiles = filesIn(stateDir).filter((name) => !name.endsWith(".mdb"));
  const ledgerFile = path.join("ledger", "data.mdb");
  const victim = bench.random.next() < 0.5 ? ledgerFile : bench.random.pick([ledgerFile, ...spoolFiles]);
  const harm = damage(path.join(stateDir, victim), bench.random);
  const before = bytesIn(stateDir);
  const balancer = new ManagedProcess({
    name: `balancer-${cycle}`,
    script: balancerScript,
    args: [
      ...["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--state-dir", stateDir, "--log-file", ""],
      ...["--server", "name=nobody,address=127.0.0.1:1,weight=1"],
    ],
    logDir: path.join(bench.folder, "logs"),
  });
  const what = `cycle ${cycle}: ${victim}, ${harm}`;
  try {
    const { adminAddress = "" } = await balancer.ready(readyTimeoutMs);
    await eventually(() => balancerStatus(adminAddress), 3_000);
    if (!balancer.running) bench.violations.push(`${what}: the balancer has ended`);
    if (bytesIn(stateDir) < before) bench.violations.push(`${what}: something has been deleted`);
  } catch (error) {
    bench.violations.push(`${what}: ${error instanceof Error ? error.message : error}`);
  } finally {
    balancer.kill("SIGKILL");
    await balancer.exited;
  }
  rmSync(stateDir, { recursive: true });
}

function damage(file: string, random: Random): string {
  const bytes = readFileSync(file);
  // Not in the room that the ledger keeps ready at its end, where damage would mean nothing.
  const usedBytes = bytes.findLastIndex((byte) => byte !== 0) + 1;
  const at = random.between(0, Math.max(0, usedBytes - 1));
  const harm = random.pick(["a bit flipped", "cut off", "a page of zeros", "garbage at the end"]);
  if (harm === "cut off") truncateSync(file, at);
  else if (harm === "garbage at the end") writeFileSync(file, random.bytes(random.between(1, 9_000)), { flag: "a" });
  else {
    if (harm === "a bit flipped") bytes[at] = (bytes[at] ?? 0) ^ (1 << random.between(0, 7));
    else bytes.fill(0, at - (at % 4096), Math.min(bytes.length, at - (at % 4096) + 4096));
    writeFileSync(file, bytes);
  }
  return `${harm} at ${at} of ${bytes.length}`;
}

/** The files that P7 may damage, by path; the numbering is the operator's to restore, and lock files hold nothing. */
function filesIn(dir: string): string[] {
  const names = readdirSync(dir, { recursive: true, encoding: "utf8" });
  return names.filter((name) => /[.](part|index)$|data[.]mdb$/.test(name)).sort();
}

/** Bytes of all spool files, and of the ledger whether in place or aside. */
function bytesIn(dir: string): number {
  return filesIn(dir).reduce((sum, name) => sum + statSync(path.join(dir, name)).size, 0);
}
