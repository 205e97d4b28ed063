import path from "node:path";
import type { Occurrence } from "@bilancia/balancer/dist/domain/occurrence.js";
import { LmdbLedger } from "@bilancia/balancer/dist/queue/lmdb-ledger.js";
import { Numbering } from "@bilancia/balancer/dist/queue/numbering.js";
import { openLedger } from "@bilancia/balancer/dist/queue/open-ledger.js";
import { Spool } from "@bilancia/balancer/dist/queue/spool.js";
import { UploadQueue } from "@bilancia/balancer/dist/queue/upload-queue.js";

/** The balancer's durable queue, recovered, without the rest of the balancer. */
export interface OpenQueue {
  readonly queue: UploadQueue;
  readonly numbering: Numbering;
  /** What it has told of. */
  readonly occurrences: readonly Occurrence[];
  close(): Promise<void>;
}

/**
 * Opens the queue in a state folder, as `app.ts` of the balancer does.
 *
 * @param checked whether the ledger is read in a process of its own first; that takes as long as a start of Node
 */
export async function openQueue(stateDir: string, checked = true): Promise<OpenQueue> {
  const occurrences: Occurrence[] = [];
  const observer = { note: (occurrence: Occurrence) => void occurrences.push(occurrence) };
  const numbering = await Numbering.open(stateDir);
  const spool = new Spool(path.join(stateDir, "spool"), { maxMemoryBytes: 64 * 1024 * 1024 });
  await spool.open();
  const ledger = checked
    ? await openLedger(stateDir, observer)
    : new LmdbLedger(path.join(stateDir, "ledger"), (requestNumber, detail) =>
        observer.note({ kind: "quarantined", what: "ledger entry", detail, requestNumber }),
      );
  const queue = new UploadQueue({
    ...{ numbering, spool, ledger, observer },
    limits: { maxFiles: 100_000, maxBytes: 1e12, maxFileBytes: 1e12, minFreeDiskBytes: 0 },
    clock: { nowMs: Date.now, random: Math.random },
    retentionMs: 3_600_000,
    unfinishedExpiryMs: 3_600_000,
    maxFinishedInMemory: 1_000,
    claimMs: 60_000,
  });
  await queue.recover();
  return {
    ...{ queue, numbering, occurrences },
    async close() {
      await queue.stop();
      spool.close();
      await ledger.close();
      await numbering.close();
    },
  };
}
