import { readdir } from "node:fs/promises";
import path from "node:path";
import type { QueueLimits } from "../domain/admission.js";
import type { Occurrence } from "../domain/occurrence.js";
import { type Ledger, memoryLedger } from "../queue/ledger.js";
import { LmdbLedger } from "../queue/lmdb-ledger.js";
import { Numbering } from "../queue/numbering.js";
import { Spool } from "../queue/spool.js";
import { UploadQueue } from "../queue/upload-queue.js";

/** Limits that no test reaches by accident. */
export const roomy: QueueLimits = { maxFiles: 10_000, maxBytes: 1e9, maxFileBytes: 1e8, minFreeDiskBytes: 0 };

export interface TestQueueOptions {
  /** Whether it survives a restart. Default: true. */
  readonly kept?: boolean;
  /** Default: `roomy`. */
  readonly limits?: QueueLimits;
  /** Default: the real time. */
  readonly nowMs?: () => number;
  /** Default: 100,000. */
  readonly maxFinishedInMemory?: number;
}

/** A real queue over a folder, and what it told. Opened again over the same folder it is the balancer after a restart. */
export interface TestQueue {
  readonly queue: UploadQueue;
  readonly numbering: Numbering;
  readonly spool: Spool;
  readonly ledger: Ledger;
  readonly noted: readonly Occurrence[];
  /** Request numbers of entries that could not be read. */
  readonly damaged: readonly (bigint | undefined)[];
  /** The names in the spool's folder. */
  spooled(): Promise<string[]>;
  stop(): Promise<void>;
  /** What is durable stays; everything else is gone. The queue is not asked, but for its file handles. */
  crash(): Promise<void>;
}

export async function openTestQueue(folder: string, options: TestQueueOptions = {}): Promise<TestQueue> {
  const { kept = true, limits = roomy, nowMs = Date.now, maxFinishedInMemory = 100_000 } = options;
  const noted: Occurrence[] = [];
  const damaged: (bigint | undefined)[] = [];
  const numbering = await Numbering.open(folder);
  const spool = new Spool(path.join(folder, "spool"), { maxMemoryBytes: 8 * 1024 * 1024 });
  await spool.open();
  const lmdb = kept
    ? new LmdbLedger(path.join(folder, "ledger"), (requestNumber) => damaged.push(requestNumber))
    : undefined;
  const ledger: Ledger = lmdb ?? memoryLedger;
  const queue = new UploadQueue({
    numbering,
    spool,
    ledger,
    limits,
    clock: { nowMs, random: Math.random },
    observer: { note: (occurrence) => noted.push(occurrence) },
    retentionMs: 60_000,
    unfinishedExpiryMs: 60_000,
    claimMs: 60_000,
    maxFinishedInMemory,
  });
  await queue.recover();
  return {
    queue,
    numbering,
    spool,
    ledger,
    noted,
    damaged,
    spooled: () => readdir(path.join(folder, "spool")),
    async stop() {
      await queue.stop();
      spool.close();
      await numbering.close();
      await lmdb?.close();
    },
    async crash() {
      await lmdb?.close();
      await queue.stop();
      spool.close();
    },
  };
}
