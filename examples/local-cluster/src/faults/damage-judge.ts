import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import type { ContentReader } from "@bilancia/balancer/dist/ports/content.js";
import type { Delivery } from "@bilancia/balancer/dist/ports/outbox.js";
import { type CaseShare, tryCases } from "./case-runner.js";
import { openQueue } from "./crash-states/open-queue.js";
import { bytesIn, damageOne } from "./damage.js";
import { Random } from "./random.js";

/** What is to be damaged, and judged. */
export interface DamageTask {
  /** The state folder of a balancer that was killed; it is copied. */
  readonly intact: string;
  /** What was acknowledged, one JSON line each; see `Oracle`. */
  readonly acknowledged: string;
  readonly count: number;
  readonly seed: number;
  /** Where copies are made. */
  readonly scratch: string;
}

interface Acknowledged {
  readonly name: string;
  readonly sha256: string;
}

/** A program: damages copies of a balancer's state, opens the queue on each, and looks at all that it gives out. */
const task = JSON.parse(process.argv[2] ?? "") as DamageTask & CaseShare;
const lines = readFileSync(task.acknowledged, "utf8").split("\n");
const acknowledged = lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Acknowledged);

async function judge(index: number): Promise<readonly string[]> {
  const stateDir = mkdtempSync(path.join(task.scratch, "damaged-"));
  cpSync(task.intact, stateDir, { recursive: true });
  const harm = damageOne(stateDir, new Random(task.seed + index));
  const violations: string[] = [];
  const beforeBytes = bytesIn(stateDir);
  const { queue, occurrences, close } = await openQueue(stateDir);
  const digests = new Map<string, string | undefined>();
  for (let delivery = queue.take(); delivery; delivery = queue.take()) {
    const { name } = delivery.description;
    if (digests.has(name)) violations.push(`${name} is given out twice`);
    digests.set(name, await digestOf(delivery));
  }
  const isReported = (what: string) =>
    occurrences.some((occurrence) => occurrence.kind === "quarantined" && occurrence.what === what);
  const aside = isReported("ledger");
  const reported = new Set(
    occurrences.map((occurrence) => ("requestNumber" in occurrence ? occurrence.requestNumber : undefined)),
  );
  let missingCount = 0;
  for (const { name, sha256 } of acknowledged) {
    const digest = digests.get(name);
    if (digest === undefined) missingCount += 1;
    else if (digest !== sha256) violations.push(`${name} is given out with other bytes than were sent`);
  }
  reported.delete(undefined);
  const excusedCount = harm.requestNumber === undefined ? reported.size : 1;
  if (!aside && !isReported("ledger header") && missingCount > excusedCount) {
    violations.push(`${missingCount} uploads are not given out; ${excusedCount} were damaged or reported as damaged`);
  }
  if (aside && harm.requestNumber !== undefined) violations.push("the ledger was moved aside, and was not damaged");
  if (bytesIn(stateDir) < beforeBytes) violations.push("something has been deleted");
  await close();
  rmSync(stateDir, { recursive: true });
  return violations.map((violation) => `${harm.text}: ${violation}`);
}

/** `undefined` where the bytes cannot be read to the end. */
async function digestOf(delivery: Delivery): Promise<string | undefined> {
  let reader: ContentReader | undefined;
  try {
    reader = delivery.read();
    const hash = createHash("sha256");
    for (;;) {
      const content = await reader.next();
      if (content.kind === "broken") return undefined;
      if (content.kind === "end") return hash.digest("hex");
      hash.update(content.chunk.data);
    }
  } catch {
    // Damage found while reading: that it was reported is checked with all that is missing.
    return undefined;
  } finally {
    reader?.close();
  }
}

await tryCases(task, task.count, judge);
