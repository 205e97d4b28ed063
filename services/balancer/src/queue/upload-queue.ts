import { admissionProblem, noNumberYet, sizeProblem } from "../domain/admission.js";
import { BilanciaError, type Rejection, rejectReasons } from "../domain/errors.js";
import { descriptionConflict, type UploadDescription } from "../domain/upload.js";
import type { DeadLetters } from "../ports/dead-letters.js";
import type { Inbox, Opened, UploadListener, UploadProgress } from "../ports/inbox.js";
import type { Delivery, FoundFile, Outbox, SettledUpload, Suspicion } from "../ports/outbox.js";
import type { PendingUploads } from "../ports/pending-uploads.js";
import type { QueueCounts, QueuePlace, UploadDirectory, UploadKey, UploadView } from "../ports/upload-directory.js";
import { ArrivingUpload } from "./arriving-upload.js";
import type { EndedClaims } from "./claims.js";
import { DeadLetterBox } from "./dead-letter-box.js";
import { KnownUploads } from "./known-uploads.js";
import { hasEnded, isDeadLetter, isForgotten, type LedgerEntry } from "./ledger-entry.js";
import { LeftUploads, tooManyLeft } from "./left-uploads.js";
import { PendingList } from "./pending-list.js";
import { inBackground, type QueueWorks, type UploadQueueParts } from "./queue-parts.js";
import { type DeliveryHost, QueuedDelivery } from "./queued-delivery.js";
import { Recovery } from "./recovery.js";
import { Settlement } from "./settlement.js";
import { smallBytes } from "./upload-content.js";
import type { UploadRecord } from "./upload-record.js";
import { WaitingLine } from "./waiting-line.js";

const sweepIntervalMs = 10_000;
/** How long an upload rests that cannot be read from disk, for want of a handle for example. */
const unreadablePauseMs = 1_000;
/** How long nothing is given out after the ledger has refused to record an attempt, in milliseconds. */
const refusedPauseMs = 1_000;

/**
 * The queue; in which order uploads go out is its `WaitingLine`'s to say. It decides what becomes of each upload and tells whoever waits; the ledger makes that durable, or, with `queue: memory`,
 * keeps nothing. What is waiting in large numbers is known to the ledger alone; memory holds what arrives, what is under way, and what ended lately.
 */
export class UploadQueue implements Inbox, Outbox, UploadDirectory {
  readonly #parts: UploadQueueParts;
  readonly #works: QueueWorks;
  readonly #uploads: KnownUploads;
  readonly #line: WaitingLine;
  readonly #settlement: Settlement;
  readonly #recovery: Recovery;
  readonly #letters: DeadLetterBox;
  /** What waits, for the servers to claim. */
  readonly pending: PendingUploads;
  readonly #host: DeliveryHost;
  readonly #left = new LeftUploads();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(parts: UploadQueueParts) {
    this.#parts = parts;
    this.#line = new WaitingLine(() => parts.clock.nowMs(), parts.observer);
    this.#uploads = new KnownUploads(parts, (record, where, error) =>
      this.#settlement.diskFailed(record, where, error),
    );
    this.#settlement = new Settlement(parts, this.#uploads, this.#line);
    this.#works = { parts, uploads: this.#uploads, line: this.#line, settlement: this.#settlement, keeping: new Set() };
    this.#recovery = new Recovery(this.#works);
    this.#letters = new DeadLetterBox(this.#works);
    this.pending = new PendingList(this.#works);
    this.#host = {
      clock: parts.clock,
      observer: parts.observer,
      persist: (record) => {
        const recorded = this.#uploads.keep(record);
        recorded?.catch((error: unknown) => {
          parts.observer.note({ kind: "fault", where: "recording an attempt", error });
          // The disk may be full: each further file would be loaded, or even sent, in vain.
          this.#line.hold(refusedPauseMs);
        });
        return recorded;
      },
      saved: (record, receipt) => this.#settlement.saved(record, receipt),
      later: (record, delayMs) => {
        record.taken = false;
        if (record.complete) this.#uploads.change(record, { kind: "requeued" });
        if (!record.sender) record.content.rest();
        this.#line.comeBack(record, delayMs);
        this.#uploads.leaveWaiting(record);
      },
      reject: (record, rejection) => this.#settlement.reject(record, rejection),
      unclaim: ({ requestNumber }, end) => this.#line.claims.drop(requestNumber, end),
    };
  }

  /** What was given up and is still here. */
  get deadLetters(): DeadLetters {
    return this.#letters;
  }

  /** Takes up what the ledger knows. To be called once, before anything else. */
  recover(): Promise<void> {
    return this.#recovery.run();
  }

  /** Begins to forget what is old. */
  start(): void {
    this.#sweeper = setInterval(() => this.sweep(), sweepIntervalMs).unref();
  }

  /** Forgets what is old: finished uploads, and unfinished ones whose client has not come back. */
  sweep(): void {
    const { clock, ledger, retentionMs, unfinishedExpiryMs } = this.#parts;
    const nowMs = clock.nowMs();
    ledger.prune(nowMs - retentionMs, nowMs);
    for (const record of this.#uploads.records.sweep(nowMs)) {
      const idleMs = nowMs - record.touchedAtMs;
      if (record.complete || record.sender) continue;
      this.#uploads.abandon(record);
      if (idleMs < unfinishedExpiryMs) continue;
      if (this.#recovery.leavesOpen(record)) continue;
      const message = `the upload was not completed within ${unfinishedExpiryMs} ms`;
      const rejection: Rejection = { reason: "DEADLINE_EXCEEDED", message };
      if (record.damaged) this.#settlement.damaged(record, rejection);
      else this.#settlement.reject(record, rejection);
    }
  }

  /** Lets go of the files in the spool; what is in them stays there. What is being made durable is waited for: uploads, and dead letters. */
  async stop(): Promise<void> {
    clearInterval(this.#sweeper);
    this.#line.stop();
    await Promise.all(this.#works.keeping);
    await this.#settlement.settled();
    await Promise.all([...this.#uploads.records.unfinished].map((record) => record.content.release()));
  }

  // ── Inbox ──

  open(description: UploadDescription, listener: UploadListener): Opened {
    const known = this.#uploads.records.byId(description.uploadId);
    if (known) return this.#reopen(known, description, listener);
    const recorded = this.#parts.ledger.find({ uploadId: description.uploadId });
    // It may have ended just now, which the ledger does not know yet.
    const kept = recorded && this.#uploads.entry(recorded.requestNumber);
    if (kept && !isForgotten(kept)) return this.#reopenKept(kept, description, listener);
    const { limits, spool } = this.#parts;
    const usage = { ...this.#uploads.counters.usage, freeDiskBytes: spool.freeDiskBytes };
    const problem = admissionProblem(description, usage, limits);
    if (problem) return { kind: "rejected", rejection: problem };
    const record = this.#uploads.begin(description, listener.client);
    if (!record) return { kind: "rejected", rejection: noNumberYet };
    record.listen(listener);
    return this.#receive(record, listener);
  }

  leave(requestNumber: bigint, listener: UploadListener): void {
    this.#uploads.unlisten(requestNumber, listener);
    const record = this.#uploads.records.byNumber(requestNumber);
    if (!record) return;
    record.unlisten(listener);
    if (record.sender !== listener) return;
    record.sender = undefined;
    this.#uploads.countComing(record);
    if (record.complete) return;
    record.touchedAtMs = this.#parts.clock.nowMs();
    record.content.interrupt("the client left before the end of the file");
    record.content.rest();
    this.#uploads.abandon(record);
    const forgotten = record.content.receivedBytes <= smallBytes ? this.#left.add(record) : undefined;
    if (forgotten) this.#settlement.reject(forgotten, tooManyLeft);
  }

  // ── Outbox ──

  take(): Delivery | undefined {
    return this.#firstOf(() => this.#line.next());
  }

  get claimants(): Iterable<string> {
    return this.#line.claims.servers;
  }

  takeClaimed(server: string): Delivery | undefined {
    return this.#firstOf(() => this.#line.nextClaimed(server));
  }

  endClaims(server: string): void {
    this.#unclaimed(this.#line.claims.end(server), server);
  }

  expireClaims(): void {
    this.#unclaimed(this.#line.claims.expire(this.#parts.clock.nowMs()), undefined);
  }

  onReady(callback: () => void): void {
    this.#line.onReady = callback;
  }

  onSettled(callback: (settled: SettledUpload) => void): void {
    this.#settlement.onSettled = callback;
  }

  onBytesLost(callback: (requestNumber: bigint) => void): void {
    this.#settlement.onBytesLost = callback;
  }

  suspicions(): readonly Suspicion[] {
    return this.#recovery.suspicions();
  }

  found(requestNumber: bigint, server: string, file: FoundFile): ReturnType<Outbox["found"]> {
    return this.#recovery.found(requestNumber, server, file);
  }

  cleared(requestNumber: bigint, server: string, upToAttempt: number): void {
    this.#recovery.cleared(requestNumber, server, upToAttempt);
  }

  // ── UploadDirectory ──

  find(key: UploadKey): UploadView | undefined {
    return this.#uploads.view(key);
  }

  place({ requestNumber, state }: UploadView): QueuePlace | undefined {
    return state.kind === "queued" ? this.#line.place(requestNumber) : undefined;
  }

  cancel(key: UploadKey): Promise<void> | undefined {
    const state = this.find(key)?.state;
    if (!state) throw new BilanciaError("UNKNOWN_UPLOAD", "no upload has this id or number");
    if (state.kind === "dead" && state.rejection.reason === "CANCELLED") return undefined;
    const record = this.#uploads.find(key);
    if (!record || record.final) throw new BilanciaError("NOT_CANCELLABLE", `the upload is ${state.kind} already`);
    if (record.intended) {
      throw new BilanciaError("NOT_CANCELLABLE", "the upload's last bytes are on their way to a storage server");
    }
    return this.#settlement.cancel(record);
  }

  counts(): QueueCounts {
    return this.#uploads.counters.report(this.#parts.numbering.last);
  }

  /** Whether something is under way: an upload that somebody sends, or a complete one that is not stored yet. */
  get busy(): boolean {
    const { queuedFiles, dispatchingFiles } = this.counts();
    if (queuedFiles + dispatchingFiles > 0) return true;
    for (const { sender } of this.#uploads.records.unfinished) if (sender) return true;
    return false;
  }

  // ── Inside ──

  #firstOf(next: () => bigint | undefined): Delivery | undefined {
    for (let requestNumber = next(); requestNumber !== undefined; requestNumber = next()) {
      const delivery = this.#give(requestNumber);
      if (delivery) return delivery;
    }
    return undefined;
  }

  /** Gives out an upload whose turn has come. `undefined`: there is nothing to give, or not yet. */
  #give(requestNumber: bigint): Delivery | undefined {
    let record: UploadRecord | undefined;
    try {
      record = this.#uploads.due(requestNumber);
    } catch (error) {
      this.#parts.observer.note({ kind: "fault", where: "loading an upload", error });
      this.#line.putBack(requestNumber, unreadablePauseMs);
      return undefined;
    }
    if (!record || record.final || record.taken || this.#line.isResting(requestNumber)) return undefined;
    // Its client left while it stood in line; it is offered again when somebody goes on sending.
    if (!record.complete && !record.sender) {
      record.offered = false;
      return undefined;
    }
    record.taken = true;
    record.offered = true;
    if (record.complete) this.#uploads.change(record, { kind: "dispatched" });
    return new QueuedDelivery(record, this.#host);
  }

  #unclaimed(ended: EndedClaims, server: string | undefined): void {
    const { files } = ended;
    if (files > 0) this.#parts.observer.note({ kind: "claims-ended", server, files });
    this.#line.unclaimed(ended);
  }

  #reopen(record: UploadRecord, description: UploadDescription, listener: UploadListener): Opened {
    const conflict = idConflict(record.description, description);
    if (conflict) return conflict;
    const { requestNumber } = record;
    record.listen(listener);
    if (record.complete || record.final) {
      const { progress } = record;
      if (progress) listener.uploadProgress(description.uploadId, requestNumber, progress);
      if (record.final) record.unlisten(listener);
      return { kind: "known", requestNumber, told: progress !== undefined };
    }
    const before = record.sender;
    if (before && before !== listener) {
      record.content.interrupt("another connection went on with the upload");
      record.dismiss(before, { reason: "SUPERSEDED", message: "a newer connection sends this upload now" });
    }
    record.describe(description);
    const tooLarge = sizeProblem(record.description.sizeBytes ?? 0, this.#parts.limits);
    if (tooLarge) {
      this.#settlement.reject(record, tooLarge);
      return { kind: "known", requestNumber, told: true };
    }
    return this.#receive(record, listener);
  }

  /** The listener sends the bytes from now on. */
  #receive(record: UploadRecord, sender: UploadListener): Opened {
    record.sender = sender;
    this.#uploads.countComing(record);
    const resumedAtBytes = record.content.receivedBytes;
    const { client } = sender;
    const { priority } = record.description;
    this.#parts.observer.note({ kind: "received", upload: record.naming, client, resumedAtBytes, priority });
    const upload = new ArrivingUpload(record, sender, this.#works);
    upload.offerEarly();
    return { kind: "receiving", upload };
  }

  /** Joins an upload that only the ledger knows. It is not loaded for that, unless there is something to do. */
  #reopenKept(entry: LedgerEntry, description: UploadDescription, listener: UploadListener): Opened {
    const { requestNumber, receipt, rejection } = entry;
    const conflict = idConflict(entry.description, description);
    if (conflict) return conflict;
    if (rejection && isDeadLetter(entry) && rejectReasons[rejection.reason].retryable) {
      const record = this.#uploads.load(entry);
      if (record.complete) {
        inBackground(this.#parts.observer, "recording a retry", this.#letters.revive(record));
        return this.#reopen(record, description, listener);
      }
      // Damaged on disk: it stays given up.
      this.#uploads.evict(record);
    }
    // Who waits for `stored` must be told of it; `queued` is all that others wait for.
    if (!hasEnded(entry) && (!entry.complete || description.ack === "stored"))
      return this.#reopen(this.#uploads.load(entry), description, listener);
    const progress: UploadProgress = receipt
      ? { kind: "stored", receipt }
      : rejection
        ? { kind: "rejected", rejection }
        : { kind: "queued" };
    listener.uploadProgress(description.uploadId, requestNumber, progress);
    return { kind: "known", requestNumber, told: true };
  }
}

function idConflict(first: UploadDescription, again: UploadDescription): Opened | undefined {
  const conflict = descriptionConflict(first, again);
  if (!conflict) return undefined;
  const message = `the upload id ${again.uploadId} belongs to another file: ${conflict}`;
  return { kind: "rejected", rejection: { reason: "UPLOAD_ID_CONFLICT", message } };
}
