import { randomUUID } from "node:crypto";
import { statfs } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { Capability, type LoadResponse, type OverloadCause } from "@bilancia/proto/gen/storage";
import type { Logger } from "pino";
import type { InFlight } from "./in-flight.js";
import { describeCause, type OverloadLimits, overloadCauses } from "./overload.js";

const sampleIntervalMs = 200;
/** The event-loop histogram measures the distance between ticks of this length, in milliseconds, so that much of it is no delay. */
const tickMs = 10;

/** What a `LoadMonitor` reports on. */
export interface LoadMonitorOptions {
  readonly serverName: string;
  readonly version: string;
  readonly dir: string;
  readonly limits: OverloadLimits;
  readonly inFlight: InFlight;
  readonly storedFilesCount: () => number;
  readonly log: Logger;
}

/**
 * Watches how loaded this process is and holds the overload bit. Figures are sampled five times a second; the number of files counts at once.
 * Whoever makes it calls `start` and `stop`.
 */
export class LoadMonitor {
  readonly #options: LoadMonitorOptions;
  readonly #instanceId = randomUUID();
  readonly #startMemoryBytes = process.memoryUsage.rss();
  readonly #totalMemoryBytes = memoryLimitBytes();
  readonly #listeners = new Set<() => void>();
  readonly #ticks: IntervalHistogram = monitorEventLoopDelay({ resolution: tickMs });
  #timer: NodeJS.Timeout | undefined;
  #memoryBytes = this.#startMemoryBytes;
  #eventLoopMs = 0;
  #cpu = { atMs: performance.now(), usage: process.cpuUsage(), percent: 0 };
  #disk: { freeBytes: number; totalBytes: number } | undefined;
  #causes: OverloadCause[] = [];

  constructor(options: LoadMonitorOptions) {
    this.#options = options;
  }

  get overloaded(): boolean {
    return this.#causes.length > 0;
  }

  /** Takes the first figures, then samples until `stop`. */
  async start(): Promise<void> {
    this.#ticks.enable();
    await this.#readDisk();
    this.#options.inFlight.onChange = () => this.#judge();
    this.#judge();
    this.#timer = setInterval(() => this.#sample(), sampleIntervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#ticks.disable();
    this.#options.inFlight.onChange = () => {};
  }

  /** Calls `listener` on every change of the overload bit, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  report(): LoadResponse {
    const { inFlight, serverName, version, storedFilesCount } = this.#options;
    return {
      overloaded: this.overloaded,
      causes: this.#causes,
      cpuPercent: this.#cpu.percent,
      memoryBytes: BigInt(this.#memoryBytes),
      memoryGrowthPercent: this.#memoryGrowthPercent(),
      eventLoopDelayMs: this.#eventLoopMs,
      inFlightFiles: inFlight.filesCount,
      inFlightBytes: BigInt(inFlight.receivedBytes),
      freeDiskBytes: this.#disk && BigInt(this.#disk.freeBytes),
      totalDiskBytes: this.#disk && BigInt(this.#disk.totalBytes),
      storedFiles: BigInt(storedFilesCount()),
      capabilities: [Capability.CAPABILITY_WATCH_LOAD, Capability.CAPABILITY_STAT, Capability.CAPABILITY_DISCARD],
      instanceId: this.#instanceId,
      ...{ serverName, version },
    };
  }

  #sample(): void {
    this.#memoryBytes = process.memoryUsage.rss();
    // A process that was blocked all the time has no tick at all in its histogram; the next sample will show it.
    const meanMs = this.#ticks.count > 0 ? this.#ticks.mean / 1e6 : tickMs;
    this.#eventLoopMs = Math.max(0, meanMs - tickMs);
    this.#ticks.reset();
    const nowMs = performance.now();
    const usage = process.cpuUsage();
    const usedMs = (usage.user + usage.system - this.#cpu.usage.user - this.#cpu.usage.system) / 1000;
    const percent = (usedMs / (nowMs - this.#cpu.atMs) / availableParallelism()) * 100;
    this.#cpu = { atMs: nowMs, usage, percent: Math.min(100, Math.max(0, percent)) };
    void this.#readDisk();
    this.#judge();
  }

  /** Never rejects: without the figure, the limit on free disk is not looked at. */
  async #readDisk(): Promise<void> {
    try {
      const { bavail, blocks, bsize } = await statfs(this.#options.dir);
      this.#disk = { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    } catch {
      this.#disk = undefined;
    }
  }

  #memoryGrowthPercent(): number {
    return ((this.#memoryBytes - this.#startMemoryBytes) / this.#totalMemoryBytes) * 100;
  }

  #judge(): void {
    const { limits, inFlight, log } = this.#options;
    const wasOverloaded = this.overloaded;
    const before = this.#causes;
    this.#causes = overloadCauses(limits, before, {
      memoryPercent: this.#memoryGrowthPercent(),
      eventLoopMs: this.#eventLoopMs,
      files: inFlight.filesCount,
      freeDiskPercent: this.#disk && (this.#disk.freeBytes / this.#disk.totalBytes) * 100,
    });
    if (this.overloaded === wasOverloaded) return;
    if (this.overloaded) log.warn({ causes: this.#causes.map(describeCause) }, "overloaded");
    else log.info({ causes: before.map(describeCause) }, "no longer overloaded");
    for (const listener of this.#listeners) listener();
  }
}

/** The machine's memory, or what the container may use of it. */
function memoryLimitBytes(): number {
  const limitBytes = process.constrainedMemory();
  return limitBytes && limitBytes < totalmem() ? limitBytes : totalmem();
}
