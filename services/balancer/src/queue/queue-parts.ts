import type { QueueLimits } from "../domain/admission.js";
import type { Clock } from "../ports/clock.js";
import type { Observer } from "../ports/observer.js";
import type { KnownUploads } from "./known-uploads.js";
import type { Ledger } from "./ledger.js";
import type { Numbering } from "./numbering.js";
import type { Settlement } from "./settlement.js";
import type { Spool } from "./spool.js";
import type { WaitingLine } from "./waiting-line.js";

/** What the queue is made of. */
export interface UploadQueueParts {
  readonly numbering: Numbering;
  readonly spool: Spool;
  readonly ledger: Ledger;
  readonly limits: QueueLimits;
  readonly clock: Clock;
  readonly observer: Observer;
  /** How long finished uploads are remembered, and unfinished ones kept for their client, in milliseconds. */
  readonly retentionMs: number;
  readonly unfinishedExpiryMs: number;
  /** How long a server's claim holds at most, in milliseconds. */
  readonly claimMs: number;
  /** Finished uploads that stay in memory at most. Those beyond are forgotten, or known to the ledger alone. */
  readonly maxFinishedInMemory: number;
}

/** What those who work in one queue share. */
export interface QueueWorks {
  readonly parts: UploadQueueParts;
  readonly uploads: KnownUploads;
  readonly line: WaitingLine;
  readonly settlement: Settlement;
  /** Uploads that are being made durable, bytes and record, for clients who are told then. */
  readonly keeping: Set<Promise<void>>;
}

/** Reports the failure of work that nobody waits for. */
export function inBackground(observer: Observer, where: string, work: Promise<void> | undefined): void {
  work?.catch((error: unknown) => observer.note({ kind: "fault", where, error }));
}
