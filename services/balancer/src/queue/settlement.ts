import { isFull } from "@bilancia/proto/system-error";
import { type Rejection, rejectReasons } from "../domain/errors.js";
import type { Receipt } from "../domain/upload.js";
import { ContentUnreadable } from "../ports/content.js";
import type { AttemptInTerm, CopyMark, SettledUpload } from "../ports/outbox.js";
import type { KnownUploads } from "./known-uploads.js";
import { isDeadLetter, markOf } from "./ledger-entry.js";
import { inBackground, type UploadQueueParts } from "./queue-parts.js";
import { DamagedSpool } from "./spool-file.js";
import type { UploadRecord } from "./upload-record.js";
import type { WaitingLine } from "./waiting-line.js";

/** How uploads end: stored, given up, or lost to a failing disk. Whoever waits is told, and the ledger keeps the outcome. */
export class Settlement {
  readonly #parts: UploadQueueParts;
  readonly #uploads: KnownUploads;
  readonly #line: WaitingLine;
  /** Outcomes of dead letters that are being written down. */
  readonly #settling = new Set<Promise<void>>();
  /** Called for each upload that has ended. */
  onSettled: (settled: SettledUpload) => void = () => {};
  /** Called for each upload that has lost its bytes, and that a server may hold. */
  onBytesLost: (requestNumber: bigint) => void = () => {};

  constructor(parts: UploadQueueParts, uploads: KnownUploads, line: WaitingLine) {
    this.#parts = parts;
    this.#uploads = uploads;
    this.#line = line;
  }

  /** @param storedBy the attempt that has stored it, where it was found on a server */
  saved(record: UploadRecord, receipt: Receipt, storedBy?: AttemptInTerm): void {
    // After a restart a server may turn out to hold the whole file while its client sends it again.
    if (!record.complete) {
      record.complete = true;
      this.#uploads.change(record, { kind: "completed", underway: true });
    }
    this.#uploads.change(record, { kind: "saved", receipt });
    const tookMs = receipt.storedAtMs - record.receivedAtMs;
    const attempt = record.attempts.findLast(({ server }) => server === receipt.server)?.number;
    this.#parts.observer.note({ kind: "stored", upload: record.naming, receipt, attempt, tookMs });
    this.#uploads.counters.stored(receipt.sizeBytes);
    record.bytesAt = "nowhere";
    this.#settle(record, receipt.server, storedBy && { storedBy });
  }

  reject(record: UploadRecord, rejection: Rejection): void {
    if (record.final) return;
    this.#uploads.change(record, { kind: "rejected", rejection });
    this.#parts.observer.note({ kind: "rejected", upload: record.naming, rejection });
    this.#uploads.counters.rejected();
    const deadLetter = isDeadLetter(record.toEntry());
    if (!deadLetter) record.bytesAt = "nowhere";
    this.#settle(record, undefined);
    // Sent again, it begins anew, under a new number; a dead letter is revived under its own.
    if (!rejectReasons[rejection.reason].retryable || deadLetter) return;
    this.#uploads.records.freeId(record);
    this.#parts.ledger.freeId(record.description.uploadId);
  }

  /** @returns a promise of its being durable: nobody is told before that it will not go out */
  cancel(record: UploadRecord): Promise<void> | undefined {
    this.reject(record, { reason: "CANCELLED", message: "the upload was cancelled" });
    // Other outcomes are written when something else is.
    return this.#uploads.keep(record);
  }

  diskFailed(record: UploadRecord, where: string, error: unknown): void {
    if (record.final) return;
    this.#parts.observer.note({ kind: "fault", where, error });
    if (error instanceof DamagedSpool) {
      this.damaged(record, { reason: "INTERNAL", message: error.message });
      return;
    }
    // It is all there, and is read again a little later.
    if (error instanceof ContentUnreadable) return;
    // Its client has been told that it is safe, which it is: its bytes and its record were flushed before.
    if (record.safe && record.description.ack === "queued") return;
    const rejection: Rejection = isFull(error)
      ? { reason: "QUEUE_FULL", message: "the balancer's disk is full", retryAfterMs: 5_000 }
      : { reason: "INTERNAL", message: "the balancer could not keep the file" };
    record.bytesAt = "nowhere";
    this.reject(record, rejection);
  }

  /** Gives up an upload that is damaged on disk, unless a server may hold it. What is left of it is put aside, and its client may send it anew. */
  damaged(record: UploadRecord, rejection: Rejection): void {
    const { content } = record;
    const aside = this.#parts.spool.putAside(record.requestNumber).then(() => {
      // Found twice, and dealt with: its client may send it again already.
      if (record.final || record.content !== content) return;
      record.bytesAt = "nowhere";
      if (record.intents.length > 0) this.#loseBytes(record, rejection);
      else this.reject(record, rejection);
    });
    this.#background("putting a damaged upload aside", aside);
  }

  /**
   * A server may hold all of it, and its client may have been told so: given up, that copy would be taken for an extra one. So the upload stays, without its bytes, until that server
   * has been asked, or its client sends it again. Who waits for it is told that it must.
   */
  #loseBytes(record: UploadRecord, rejection: Rejection): void {
    const { listeners, requestNumber } = record;
    if (record.complete) this.#uploads.change(record, { kind: "bytes-lost" });
    record.sender = undefined;
    this.#uploads.countComing(record);
    const lost = this.#uploads.beginAnew(record);
    this.#background("letting go of an upload's bytes", lost.release());
    this.#background("recording that bytes are lost", this.#uploads.keep(record));
    const detail = `${rejection.message}; a server may hold ${record.description.name}, and is asked`;
    this.#parts.observer.note({ kind: "quarantined", what: "upload", detail, requestNumber });
    for (const listener of listeners) record.dismiss(listener, rejection);
    this.onBytesLost(requestNumber);
  }

  /** Resolves when everything that was given up before has been written down. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#settling);
  }

  #settle(record: UploadRecord, server: string | undefined, found?: CopyMark): void {
    const { clock, numbering } = this.#parts;
    const mark = found ?? markOf(numbering.term, record.attemptCount, server !== undefined);
    record.sender = undefined;
    this.#uploads.countComing(record);
    record.taken = false;
    record.offered = false;
    this.#endClaim(record, server);
    // A server that may hold a copy all the same stays suspected, over restarts too.
    record.intents = record.intents.filter((intent) => intent.server !== server);
    record.mark = mark;
    record.touchedAtMs = clock.nowMs();
    this.#uploads.records.end(record);
    this.#uploads.counters.addBytes(-record.content.receivedBytes);
    const { content, requestNumber } = record;
    // Not waited for: should a crash undo it, the intent is still there and is settled anew.
    if (record.state.kind === "dead" && isDeadLetter(record.toEntry())) {
      record.tell();
      const settling: Promise<void> = this.#layDown(record).finally(() => this.#settling.delete(settling));
      this.#settling.add(settling);
      this.#background("keeping a dead letter", settling);
      this.#forgetAfter(settling, record);
    } else {
      const recorded = this.#uploads.keep(record, undefined, true);
      record.tell();
      this.#background("recording an outcome", recorded);
      this.#forgetAfter(recorded, record);
      this.#background("letting go of an upload's bytes", content.drop(recorded));
    }
    this.onSettled({ requestNumber, server, mark });
  }

  #endClaim({ requestNumber }: UploadRecord, server: string | undefined): void {
    const { claims } = this.#line;
    const stored = claims.by(requestNumber) === server ? "delivered" : "stored-elsewhere";
    claims.drop(requestNumber, server === undefined ? "given-up" : stored);
  }

  /** Until the ledger has the outcome, memory alone knows it, however many there are. */
  #forgetAfter(kept: Promise<void> | undefined, record: UploadRecord): void {
    // One that was revived meanwhile ends another time.
    const forget = () => {
      if (record.final) this.#uploads.records.finished(record);
    };
    if (kept) kept.then(forget, forget);
    else forget();
  }

  /** Keeps a dead letter. Whoever wants it again gets it from the ledger, with its bytes. */
  async #layDown(record: UploadRecord): Promise<void> {
    try {
      await this.#flush(record);
      await this.#uploads.keep(record);
    } catch (error) {
      // Where the ledger could not have it, the next start takes the upload up as it was before.
      record.bytesAt = "nowhere";
      throw error;
    } finally {
      await record.content.release();
    }
    this.#uploads.evict(record);
  }

  /** A file that was passed on while it arrived need not be on disk in full yet. Where it cannot be, the ledger has it without its bytes. */
  async #flush(record: UploadRecord): Promise<void> {
    try {
      if (record.bytesAt === "file") await record.content.flush();
    } catch (error) {
      record.bytesAt = "nowhere";
      await this.#uploads.keep(record);
      throw error;
    }
  }

  #background(where: string, work: Promise<void> | undefined): void {
    inBackground(this.#parts.observer, where, work);
  }
}
