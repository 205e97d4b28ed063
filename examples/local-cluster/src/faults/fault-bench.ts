import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ServerHealth } from "@bilancia/proto/gen/admin";
import { balancerStatus, serversByName } from "../admin.js";
import { LocalCluster, type ServerOptions } from "../cluster.js";
import { eventually } from "../test-support/eventually.js";
import { type Findings, isClean, Oracle } from "./oracle.js";
import { Random } from "./random.js";
import { type UploaderOptions, Uploaders } from "./uploaders.js";

/** The storage servers of a bench. */
export const serverNames = ["storage-1", "storage-2", "storage-3"] as const;

/** How a bench is set up. */
export interface BenchOptions {
  readonly test: string;
  readonly seed: number;
  /** How many tests run on this machine at a time: as many times longer may things take. Default: 1. */
  readonly sharedBy?: number;
  /** How many servers; default: all. */
  readonly serverCount?: number;
  /** What is particular about a server; by default all have the weight 1, and a folder in the bench's own. */
  readonly server?: (name: string) => Partial<ServerOptions>;
  readonly balancerArgs?: readonly string[];
  /** Folder of the balancer's state; default: in the bench's own folder. */
  readonly stateDir?: string;
  /** Where the balancer is to find a server, in place of the server's own address. */
  readonly serverAddress?: (name: string) => string;
  /** Whether processes may end by themselves: the test sees to it. */
  readonly mayEnd?: boolean;
  /** Handed the cluster before it starts. */
  readonly onCluster?: (cluster: LocalCluster) => void;
}

/** How long uploaders may wait for the answers to what they have sent, in milliseconds: longer than they try again after a lost connection. */
const answersTimeoutMs = 120_000;
/** How long a system that is left alone may take to come to rest, in milliseconds. */
const restTimeoutMs = 30_000;

/** A cluster of real processes to do harm to, uploaders, and the oracle that judges. Whoever makes one ends it. */
export class FaultBench {
  /** What was found wrong so far, for people. */
  readonly violations: string[] = [];
  readonly findings = { lost: new Set<string>(), twice: new Set<string>(), corrupt: new Set<string>() };
  acknowledgedCount = 0;
  #prefixCount = 0;

  private constructor(
    readonly folder: string,
    readonly cluster: LocalCluster,
    readonly oracle: Oracle,
    readonly random: Random,
    readonly sharedBy: number,
  ) {}

  static async start(options: BenchOptions): Promise<FaultBench> {
    const { test, seed, serverCount, balancerArgs = [], serverAddress } = options;
    const folder = await mkdtemp(path.join(tmpdir(), `bilancia-faults-${test}-`));
    const servers = serverNames.slice(0, serverCount).map((name) => ({
      ...{ name, weight: 1, dir: path.join(folder, name) },
      ...options.server?.(name),
    }));
    const cluster = new LocalCluster({
      servers,
      balancer: {
        stateDir: options.stateDir ?? path.join(folder, "balancer"),
        logFile: path.join(folder, "loadbalancer.log"),
        args: balancerArgs,
        ...(serverAddress ? { serverAddress } : {}),
      },
      logDir: path.join(folder, "logs"),
      onUnexpectedExit: (name, exit) => {
        if (!options.mayEnd) bench.violations.push(`${name} ended by itself: ${JSON.stringify(exit)}`);
      },
    });
    const bench = new FaultBench(
      folder,
      cluster,
      new Oracle(path.join(folder, "acknowledged.jsonl")),
      new Random(seed),
      options.sharedBy ?? 1,
    );
    options.onCluster?.(cluster);
    await cluster.start();
    return bench;
  }

  /** Starts uploaders: 32 files under way, most of them small. */
  upload(changes: Partial<UploaderOptions> = {}): Uploaders {
    this.#prefixCount += 1;
    return new Uploaders({
      address: this.cluster.balancer.address,
      oracle: this.oracle,
      random: this.random,
      prefix: `u${this.#prefixCount}`,
      clientCount: 16,
      unansweredCount: 2,
      queuedOnly: false,
      medianBytes: 8 * 1024,
      maxFileBytes: 64 * 1024 * 1024,
      budgetBytes: 100 * 1024 * 1024,
      ...changes,
    });
  }

  /** Lets the uploaders finish, waits until the queue is empty, and judges. */
  async settle(uploaders: Uploaders, cycle: number): Promise<void> {
    const waiting = new AbortController();
    const tooLong = delay(answersTimeoutMs * this.sharedBy, undefined, { signal: waiting.signal }).then(
      () => Promise.reject(new Error(`an answer is missing after ${answersTimeoutMs * this.sharedBy} ms`)),
      () => {},
    );
    try {
      await Promise.race([uploaders.finish(), tooLong]);
    } catch (error) {
      this.violations.push(`cycle ${cycle}: an uploader failed: ${error instanceof Error ? error.message : error}`);
    } finally {
      waiting.abort();
    }
    this.acknowledgedCount += uploaders.acknowledgedCount;
    for (const problem of uploaders.notStored) this.violations.push(`cycle ${cycle}: not stored: ${problem}`);
    await this.comeToRest(cycle);
  }

  async comeToRest(cycle: number): Promise<void> {
    try {
      await eventually(() => this.#assertEmpty(), restTimeoutMs);
    } catch (error) {
      this.violations.push(`cycle ${cycle}: ${(error as Error).message}`);
    }
    await this.judge(cycle);
  }

  /** Asks the oracle. What stays wrong for a while is a violation. */
  async judge(cycle: number, again = false): Promise<void> {
    const dirs = this.cluster.servers.map(({ dir }) => dir);
    let findings: Findings | undefined;
    await eventually(async () => {
      findings = await this.oracle.examine(dirs, again);
      if (!isClean(findings)) throw new Error("not clean yet");
    }, 8_000).catch(() => undefined);
    if (!findings || isClean(findings)) return;
    for (const [kind, names] of Object.entries(findings) as [keyof Findings, readonly string[]][]) {
      for (const name of names) {
        if (kind !== "unknown") {
          if (this.findings[kind].has(name)) continue;
          this.findings[kind].add(name);
        }
        this.violations.push(`cycle ${cycle}: ${kind}: ${name}`);
      }
    }
  }

  /** Stops everything. The folder is kept when something was wrong. */
  async end(): Promise<void> {
    await this.cluster.stop();
    this.oracle.close();
    if (this.violations.length === 0) await rm(this.folder, { recursive: true, force: true });
  }

  async #assertEmpty(): Promise<void> {
    const { receivingFiles, queuedFiles, dispatchingFiles } = await balancerStatus(this.cluster.balancer.adminAddress);
    if (receivingFiles + queuedFiles + dispatchingFiles > 0n)
      throw new Error(
        `the queue is not empty: ${receivingFiles} receiving, ${queuedFiles} queued, ${dispatchingFiles} dispatching`,
      );
    // Extra copies take a while to be removed, where a server has many of them or the machine has other work.
    const servers = await serversByName(this.cluster.balancer.adminAddress);
    for (const { name, health, unsettledFiles } of servers.values())
      if (health === ServerHealth.SERVER_HEALTH_HEALTHY && unsettledFiles > 0)
        throw new Error(`${unsettledFiles} files on ${name} are not settled`);
  }
}
