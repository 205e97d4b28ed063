import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Server, ServerState } from "@bilancia/proto/gen/admin";
import { serversByName } from "../admin.js";
import { neverOverloaded } from "../test-support/test-cluster.js";
import { runOnBench } from "./bench-test.js";
import { type FaultBench, serverNames } from "./fault-bench.js";
import type { FaultReport, FaultRun } from "./fault-test.js";
import type { Random } from "./random.js";
import { SmallDisk } from "./small-disk.js";

type Name = (typeof serverNames)[number];

const weights: Readonly<Record<Name, number>> = { "storage-1": 3, "storage-2": 2, "storage-3": 1 };
/** How long each server's bit stays as it is while it flaps, in milliseconds. */
const spellMs = { least: 500, most: 5_000 } as const;
const flappingMs = 30_000;
/** How long nothing happens before the shares are looked at, and until how many files have been stored. */
const calmMs = 2_000;
const sampleFiles = 2_000;
const sampleTimeoutMs = 30_000;
/** By how much a share may differ from what the weights say, as a part of it. */
const tolerance = 0.05;
/** A server that has been available for so long must have got something. */
const starvedAfterMs = 2_000;
const lookMs = 200;
/** Fewer changes of a bit than this are no flapping. */
const leastSpells = 6;
/** Files under way when the counting begins and ends. */
const edgeFiles = 5;

/**
 * P16: the overload bit of each server flaps, for half a minute in each cycle, under load. A server is overloaded while its disk, a small one, has less than 30 % free, which does
 * not keep it from storing what it gets nevertheless.
 */
export async function flapOverload(run: FaultRun): Promise<FaultReport> {
  const disks = new Map<string, SmallDisk>();
  const args = [...neverOverloaded, "--overload-free-disk-percent", "30:32"];
  const server = (name: string) => {
    const dir = path.join((disks.get(name) as SmallDisk).folder, "files");
    return { weight: weights[name as Name], dir, args };
  };
  try {
    for (const name of serverNames) disks.set(name, new SmallDisk("size=192m"));
    return await runOnBench(
      { name: "P16", options: { server }, cycle: (bench, cycle) => flap(bench, cycle, disks) },
      run,
    );
  } finally {
    for (const disk of disks.values()) disk.unmount();
  }
}

async function flap(bench: FaultBench, cycle: number, disks: ReadonlyMap<string, SmallDisk>): Promise<void> {
  const { random, violations } = bench;
  const small = { medianBytes: 512, maxFileBytes: 8 * 1024, budgetBytes: 1024 ** 3 };
  const uploaders = bench.upload({ ...small, clientCount: 8 });
  const endMs = performance.now() + flappingMs;
  const watch = new FlapWatch();
  try {
    const flaps = [...disks.values()].map((disk) => flapUntil(endMs, disk, random));
    while (performance.now() < endMs) {
      watch.seen(await serversByName(bench.cluster.balancer.adminAddress), performance.now());
      await delay(lookMs);
    }
    await Promise.all(flaps);
  } finally {
    for (const disk of disks.values()) disk.free();
  }
  await delay(calmMs);
  const problems = [...watch.problems(), ...(await unfairShares(bench))];
  for (const problem of problems) violations.push(`cycle ${cycle}: ${problem}`);
  await bench.settle(uploaders, cycle);
}

/** Fills a disk for a while, empties it for a while, and so on. */
async function flapUntil(endMs: number, disk: SmallDisk, random: Random): Promise<void> {
  for (let full = false; performance.now() < endMs; full = !full) {
    if (full) disk.free();
    else disk.fillTo(0.2);
    await delay(Math.min(random.between(spellMs.least, spellMs.most), Math.max(0, endMs - performance.now())));
  }
}

/** Sees whether servers really flap, and whether each gets files while it does not. */
class FlapWatch {
  readonly #spells = new Map<string, { overloaded: boolean; count: number; sinceMs: number; stored: bigint }>();
  readonly #starved = new Set<string>();

  /** How the servers are at a moment. */
  seen(servers: ReadonlyMap<string, Server>, nowMs: number): void {
    for (const [name, { state, storedFiles: stored }] of servers) {
      const overloaded = state === ServerState.SERVER_STATE_OVERLOADED;
      const spell = this.#spells.get(name);
      const isNew = spell?.overloaded !== overloaded;
      if (!spell || isNew || overloaded || stored > spell.stored) {
        const count = (spell?.count ?? 0) + (isNew ? 1 : 0);
        this.#spells.set(name, { overloaded, count, sinceMs: nowMs, stored });
      } else if (nowMs - spell.sinceMs > starvedAfterMs) this.#starved.add(name);
    }
  }

  problems(): string[] {
    const still = serverNames.filter((name) => (this.#spells.get(name)?.count ?? 0) < leastSpells);
    return [
      ...[...this.#starved].map((name) => `${name} was not overloaded for ${starvedAfterMs} ms and got nothing`),
      ...still.map((name) => `${name} did not flap: the test tests nothing`),
    ];
  }
}

/** Looks at the next files, and says which servers do not have the share of them that their weights say. */
async function unfairShares({ cluster }: FaultBench): Promise<string[]> {
  const stored = async () => {
    const servers = await serversByName(cluster.balancer.adminAddress);
    return serverNames.map((name) => Number(servers.get(name)?.storedFiles ?? 0));
  };
  const before = await stored();
  const endMs = performance.now() + sampleTimeoutMs;
  for (;;) {
    await delay(lookMs);
    const counts = (await stored()).map((count, index) => count - (before[index] ?? 0));
    const all = counts.reduce((sum, count) => sum + count, 0);
    if (all < sampleFiles && performance.now() < endMs) continue;
    const weightOfAll = serverNames.reduce((sum, name) => sum + weights[name], 0);
    return serverNames.flatMap((name, index) => {
      const expected = (all * weights[name]) / weightOfAll;
      const count = counts[index] ?? 0;
      const isFair = all > 0 && Math.abs(count - expected) <= tolerance * expected + edgeFiles;
      return isFair ? [] : [`${name} got ${count} of ${all} files, and not ${Math.round(expected)}`];
    });
  }
}
