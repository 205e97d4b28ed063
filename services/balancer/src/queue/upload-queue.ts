import { crc32c } from "@node-rs/crc32";
import { admissionProblem, type QueueLimits, sizeProblem } from "../domain/admission.js";
import { BilanciaError, type Rejection, rejectReasons } from "../domain/errors.js";
import { descriptionConflict, type Receipt, sameBytes, type UploadDescription } from "../domain/upload.js";
import type {
  Chunk,
  Clock,
  DeadLetters,
  Delivery,
  Inbox,
  IncomingUpload,
  Observer,
  Opened,
  Outbox,
  QueueCounts,
  SavedFile,
  SettledUpload,
  Suspicion,
  UploadDirectory,
  UploadKey,
  UploadListener,
  UploadProgress,
  UploadView,
} from "../ports.js";
import { DeadLetterBox } from "./dead-letter-box.js";
import { Fifo } from "./fifo.js";
import { type Ledger, memoryLedger } from "./ledger.js";
import { type Intent, isDeadLetter, type LedgerEntry, viewOf } from "./ledger-entry.js";
import type { Numbering } from "./numbering.js";
import type { Piece } from "./piece.js";
import { QueueCounters } from "./queue-counters.js";
import { type DeliveryHost, QueuedDelivery } from "./queued-delivery.js";
import { RecordIndex } from "./record-index.js";
import type { Spool } from "./spool.js";
import { DamagedSpool, SpoolFile } from "./spool-file.js";
import { UploadContent } from "./upload-content.js";
import { UploadRecord } from "./upload-record.js";

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
  /** Finished uploads that stay in memory at most. Those beyond are forgotten, or known to the ledger alone. */
  readonly maxFinishedInMemory: number;
}

/** A file of more than this is passed on while it still arrives, in bytes: larger than one message. */
const cutThroughBytes = 256 * 1024;
const sweepIntervalMs = 10_000;
/** Complete files up to this go into the ledger with their record, larger ones into the spool's file, in bytes. */
const ledgerBytes = 64 * 1024;
/** Waiting uploads beyond this many are known to the ledger alone. */
const maxWaitingInMemory = 2_000;

/**
 * The queue: first in, first out. It decides what becomes of each upload and tells whoever waits; the ledger makes that durable, or, with `queue: memory`,
 * keeps nothing. What is waiting in large numbers is known to the ledger alone; memory holds what arrives, what is under way, and what ended lately.
 */
export class UploadQueue implements Inbox, Outbox, UploadDirectory {
  readonly #parts: UploadQueueParts;
  readonly #records: RecordIndex;
  readonly #counters = new QueueCounters();
  /** Uploads that have been tried before go first. */
  readonly #returned = new Fifo<bigint>();
  readonly #fresh = new Fifo<bigint>();
  readonly #suspicions: Suspicion[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #sweeper: NodeJS.Timeout | undefined;
  #onReady: () => void = () => {};
  #onSettled: (settled: SettledUpload) => void = () => {};

  readonly #host: DeliveryHost;
  /** Outcomes of dead letters that are being written down. */
  readonly #settling = new Set<Promise<void>>();
  /** What was given up and is still here. */
  readonly deadLetters: DeadLetters;

  constructor(parts: UploadQueueParts) {
    this.#parts = parts;
    this.#host = {
      clock: parts.clock,
      observer: parts.observer,
      persist: (record) => {
        const recorded = parts.ledger.put(record.toEntry());
        this.#background("recording an attempt", recorded);
        return recorded;
      },
      saved: (record, receipt) => this.#saved(record, receipt),
      later: (record, delayMs) => this.#later(record, delayMs),
      reject: (record, rejection) => this.#reject(record, rejection),
    };
    this.#records = new RecordIndex(parts.retentionMs, parts.maxFinishedInMemory);
    this.deadLetters = new DeadLetterBox({
      ledger: parts.ledger,
      spool: parts.spool,
      settled: () => Promise.allSettled(this.#settling).then(() => undefined),
      find: (requestNumber) => this.#records.byNumber(requestNumber)?.toEntry() ?? parts.ledger.find({ requestNumber }),
      revive: (entry) => this.#reviveKept(entry),
      discard: (entry) => this.#discard(entry),
      onDamage: (error) => parts.observer.note({ kind: "fault", where: "reading a dead letter", error }),
    });
  }

  /** Begins to forget what is old. */
  start(): void {
    this.#sweeper = setInterval(() => this.#sweep(), sweepIntervalMs).unref();
  }

  /** Lets go of the files in the spool; what is in them stays there. */
  async stop(): Promise<void> {
    clearInterval(this.#sweeper);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    await Promise.all(this.#records.unfinished.map((record) => record.content.release()));
  }

  // ── Inbox ──

  open(description: UploadDescription, listener: UploadListener): Opened {
    const known = this.#records.byId(description.uploadId);
    if (known) return this.#reopen(known, description, listener);
    const kept = this.#parts.ledger.find({ uploadId: description.uploadId });
    if (kept && !isForgotten(kept)) return this.#reopenKept(kept, description, listener);
    const { limits, numbering, spool, clock, observer } = this.#parts;
    const usage = { ...this.#counters.usage, freeDiskBytes: spool.freeDiskBytes };
    const problem = admissionProblem(description, usage, limits);
    if (problem) return { kind: "rejected", rejection: problem };
    const requestNumber = numbering.next();
    const content = this.#content(requestNumber, () => record);
    const record: UploadRecord = new UploadRecord(requestNumber, description, listener.client, content, clock.nowMs());
    record.sender = listener;
    record.listen(listener);
    this.#records.add(record);
    this.#counters.enter(record.state.kind);
    observer.note({ kind: "received", upload: record.naming, client: listener.client, resumedAtBytes: 0 });
    return { kind: "receiving", upload: this.#incoming(record, listener) };
  }

  leave(requestNumber: bigint, listener: UploadListener): void {
    const record = this.#records.byNumber(requestNumber);
    if (!record) return;
    record.unlisten(listener);
    if (record.sender !== listener) return;
    record.sender = undefined;
    if (!record.complete) record.content.interrupt("the client left before the end of the file");
  }

  // ── Outbox ──

  take(): Delivery | undefined {
    for (;;) {
      const requestNumber = this.#returned.shift() ?? this.#fresh.shift();
      if (requestNumber === undefined) return undefined;
      const record = this.#find({ requestNumber });
      if (!record) this.#strike(requestNumber);
      if (!record || record.final) continue;
      // Its client left while it stood in line; it is offered again when somebody goes on sending.
      if (!record.complete && !record.sender) {
        record.offered = false;
        continue;
      }
      record.taken = true;
      record.offered = true;
      if (record.complete) this.#change(record, { kind: "dispatched" });
      return new QueuedDelivery(record, this.#host);
    }
  }

  onReady(callback: () => void): void {
    this.#onReady = callback;
  }

  onSettled(callback: (settled: SettledUpload) => void): void {
    this.#onSettled = callback;
  }

  // ── UploadDirectory ──

  find(key: UploadKey): UploadView | undefined {
    const hot = this.#records.find(key);
    const entry = hot ? undefined : this.#parts.ledger.find(key);
    return hot ?? (entry && viewOf(entry));
  }

  cancel(key: UploadKey): void {
    const record = this.#find(key);
    if (!record) throw new BilanciaError("UNKNOWN_UPLOAD", "no upload has this id or number");
    if (record.state.kind === "dead" && record.state.rejection.reason === "CANCELLED") return;
    if (record.final) throw new BilanciaError("NOT_CANCELLABLE", `the upload is ${record.state.kind} already`);
    if (record.intended) {
      throw new BilanciaError("NOT_CANCELLABLE", "the upload's last bytes are on their way to a storage server");
    }
    this.#reject(record, { reason: "CANCELLED", message: "the upload was cancelled" });
  }

  counts(): QueueCounts {
    return this.#counters.report(this.#parts.numbering.last);
  }

  // ── After a restart ──

  /**
   * Takes up what the ledger knows: what waited goes on, what was arriving can be resumed, and what was with a server is tried there again first. To be called
   * once, before anything else.
   */
  async recover(): Promise<void> {
    const { ledger, spool, observer } = this.#parts;
    let queued = 0;
    for (const { requestNumber, state, bytes } of ledger.open()) {
      if (state === "queued") {
        queued += 1;
        this.#counters.enter("queued");
        this.#counters.addBytes(bytes);
        this.#fresh.push(requestNumber);
      } else {
        const entry = ledger.find({ requestNumber });
        if (!entry) ledger.strike(requestNumber);
        else if (state === "suspected") this.#suspect(entry, { rests: { server: entry.receipt?.server } });
        else this.#takeUp(entry);
      }
    }
    if (queued > 0) observer.note({ kind: "recovered", what: "queued", files: queued });
    await this.#clearSpool(spool);
  }

  suspicions(): readonly Suspicion[] {
    return this.#suspicions;
  }

  found(requestNumber: bigint, server: string, saved: SavedFile): boolean {
    const record = this.#find({ requestNumber });
    // Its client may have come back and be sending it again.
    if (!record || record.final || record.complete || record.sender) return false;
    record.complete = true;
    this.#parts.observer.note({ kind: "found", upload: record.naming, server });
    this.#change(record, { kind: "completed", underway: true });
    this.#saved(record, { ...record.receipt(saved, this.#parts.clock.nowMs()), server });
    return true;
  }

  cleared(requestNumber: bigint, server: string, upToAttempt: number): void {
    const { ledger } = this.#parts;
    const open = (intent: Intent) => intent.server !== server || intent.attempt > upToAttempt;
    const hot = this.#records.byNumber(requestNumber);
    if (hot) hot.intents = hot.intents.filter(open);
    const entry = hot?.toEntry() ?? ledger.find({ requestNumber });
    if (!entry) return;
    this.#background("recording where an upload is", ledger.amend({ ...entry, intents: entry.intents.filter(open) }));
  }

  #suspect(entry: LedgerEntry, facts: Pick<Suspicion, "bytesGone" | "rests">): void {
    const { requestNumber, description } = entry;
    const { uploadId } = description;
    for (const intent of entry.intents) this.#suspicions.push({ requestNumber, uploadId, ...intent, ...facts });
  }

  /** A queued upload whose entry is damaged is not waited for any more. */
  #strike(requestNumber: bigint): void {
    const bytes = this.#parts.ledger.strike(requestNumber);
    if (bytes === undefined) return;
    this.#counters.leave("queued");
    this.#counters.addBytes(-bytes);
  }

  #takeUp(entry: LedgerEntry): void {
    const record = this.#load(entry, false);
    record.endAttempt("lost", "the balancer was restarted");
    this.#counters.enter(record.state.kind);
    this.#counters.addBytes(record.content.receivedBytes);
    this.#suspect(entry, { bytesGone: !record.complete });
    const what = record.complete ? "dispatching" : "receiving";
    this.#parts.observer.note({ kind: "recovered", what, upload: record.naming, files: 1 });
    if (record.complete) this.#offer(record, this.#returned);
  }

  /** Removes spool files of uploads that have ended, and puts aside those that nobody knows. */
  async #clearSpool(spool: Spool): Promise<void> {
    for (const requestNumber of await spool.numbers()) {
      const entry = this.#parts.ledger.find({ requestNumber });
      if (entry?.bytesAt === "file") continue;
      if (entry) {
        await new SpoolFile(spool.pathOf(requestNumber)).remove();
        continue;
      }
      await spool.putAside(requestNumber);
      const detail = `spool file ${requestNumber} belongs to no upload that the ledger knows`;
      this.#parts.observer.note({ kind: "quarantined", what: "spool file", detail });
    }
  }

  // ── Inside ──

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
    record.sender = listener;
    const resumedAtBytes = record.content.receivedBytes;
    const { client } = listener;
    this.#parts.observer.note({ kind: "received", upload: record.naming, client, resumedAtBytes });
    this.#offerEarly(record);
    return { kind: "receiving", upload: this.#incoming(record, listener) };
  }

  /** Joins an upload that only the ledger knows. It is not loaded for that, unless there is something to do. */
  #reopenKept(entry: LedgerEntry, description: UploadDescription, listener: UploadListener): Opened {
    const { requestNumber, receipt, rejection } = entry;
    const conflict = idConflict(entry.description, description);
    if (conflict) return conflict;
    if (rejection && isDeadLetter(entry) && rejectReasons[rejection.reason].retryable) {
      const record = this.#load(entry);
      if (record.complete) {
        this.#background("recording a retry", this.#revive(record));
        return this.#reopen(record, description, listener);
      }
      // Damaged on disk: it stays given up.
      this.#records.evict(record);
    }
    // Who waits for `stored` must be told of it; `queued` is all that others wait for.
    const awaited = !receipt && !rejection && description.ack === "stored";
    if (!entry.complete || awaited) return this.#reopen(this.#load(entry), description, listener);
    const progress: UploadProgress = receipt
      ? { kind: "stored", receipt }
      : rejection
        ? { kind: "rejected", rejection }
        : { kind: "queued" };
    listener.uploadProgress(description.uploadId, requestNumber, progress);
    return { kind: "known", requestNumber, told: true };
  }

  /** Tries a dead letter anew. */
  #revive(record: UploadRecord): Promise<void> | undefined {
    const { clock, ledger, observer } = this.#parts;
    this.#change(record, { kind: "revived" });
    this.#records.unfinish(record);
    record.failures = 0;
    record.revivedAtMs = clock.nowMs();
    record.touchedAtMs = record.revivedAtMs;
    this.#counters.addBytes(record.content.receivedBytes);
    observer.note({ kind: "dead-letter", upload: record.naming, action: "revived" });
    const recorded = ledger.put(record.toEntry());
    this.#offer(record, this.#fresh);
    return recorded;
  }

  async #reviveKept(entry: LedgerEntry): Promise<void> {
    const record = this.#records.byNumber(entry.requestNumber) ?? this.#load(entry);
    if (!record.complete) {
      this.#records.evict(record);
      const message = `only ${record.content.receivedBytes} of ${entry.receivedBytes} bytes are left on disk`;
      throw new BilanciaError("NOT_A_DEAD_LETTER", `the upload cannot be tried again: ${message}`);
    }
    const { attemptCount } = record;
    await this.#revive(record);
    // Where many are waiting, the ledger alone knows the rest of them, as with new uploads.
    if (record.final || record.taken || record.attemptCount !== attemptCount) return;
    if (this.#fresh.length <= maxWaitingInMemory) return;
    this.#records.evict(record);
    await record.content.release();
  }

  async #discard(entry: LedgerEntry): Promise<void> {
    const { clock, ledger, observer } = this.#parts;
    const record = this.#records.byNumber(entry.requestNumber) ?? this.#load(entry);
    this.#change(record, { kind: "discarded" });
    record.bytesAt = "nowhere";
    record.touchedAtMs = clock.nowMs();
    observer.note({ kind: "dead-letter", upload: record.naming, action: "discarded" });
    await ledger.put({ ...record.toEntry(), complete: true, receivedBytes: entry.receivedBytes });
    await record.content.drop();
    this.#records.evict(record);
  }

  #incoming(record: UploadRecord, sender: UploadListener): IncomingUpload {
    const mine = () => record.sender === sender && !record.complete && !record.final;
    return {
      requestNumber: record.requestNumber,
      get receivedBytes() {
        return record.content.receivedBytes;
      },
      append: (chunk) => {
        if (mine()) this.#append(record, chunk);
      },
      ready: () => record.content.ready(),
      complete: (end) => {
        if (mine()) this.#complete(record, end);
      },
      reject: (rejection) => {
        if (mine()) this.#reject(record, rejection);
      },
    };
  }

  #append(record: UploadRecord, chunk: Chunk): void {
    const { limits, clock } = this.#parts;
    const receivedBytes = chunk.offset + chunk.data.length;
    const { sizeBytes } = record.description;
    if (sizeBytes !== undefined && receivedBytes > sizeBytes) {
      const message = `at least ${receivedBytes} bytes came; expected ${sizeBytes}`;
      this.#reject(record, { reason: "SIZE_MISMATCH", message });
      return;
    }
    const problem = sizeProblem(receivedBytes, limits);
    if (problem) {
      this.#reject(record, problem);
      return;
    }
    record.touchedAtMs = clock.nowMs();
    record.content.append(chunk);
    this.#counters.addBytes(chunk.data.length);
    if (record.content.spilled && record.bytesAt === "nowhere" && this.#parts.ledger !== memoryLedger) {
      // From now on it can be resumed after a restart.
      record.bytesAt = "file";
      this.#background("recording an upload", this.#parts.ledger.put(record.toEntry()));
    }
    this.#offerEarly(record);
  }

  #complete(record: UploadRecord, end: Parameters<IncomingUpload["complete"]>[0]): void {
    const { description, content } = record;
    const expected = [description.sizeBytes, end.sizeBytes].find(
      (size) => size !== undefined && size !== content.receivedBytes,
    );
    if (expected !== undefined) {
      const message = `${content.receivedBytes} bytes came; expected ${expected}`;
      this.#reject(record, { reason: "SIZE_MISMATCH", message });
      return;
    }
    if (description.sha256 && end.sha256 && !sameBytes(description.sha256, end.sha256)) {
      const message = "the SHA-256 at the end of the file is not the one in its header";
      this.#reject(record, { reason: "DIGEST_MISMATCH", message });
      return;
    }
    record.complete = true;
    record.sender = undefined;
    record.finishSha256 = end.sha256 && Uint8Array.from(end.sha256);
    this.#change(record, { kind: "completed", underway: record.taken });
    content.finish(end.sha256 ?? description.sha256);
    this.#parts.observer.note({ kind: "queued", upload: record.naming, sizeBytes: content.receivedBytes });
    const kept = description.ack === "queued" ? this.#keep(record) : undefined;
    if (!kept) {
      this.#safe(record);
      return;
    }
    kept.then(
      () => this.#safe(record),
      (error: unknown) => this.#diskFailed(record, "keeping an upload", error),
    );
  }

  /** Makes an upload durable, bytes and record. `undefined` where the ledger keeps nothing. */
  #keep(record: UploadRecord): Promise<void> | undefined {
    const { ledger } = this.#parts;
    if (ledger === memoryLedger) return undefined;
    const small = record.content.whole(ledgerBytes);
    if (small && !(small instanceof Promise)) {
      record.bytesAt = "ledger";
      return ledger.put(record.toEntry(), small.data);
    }
    record.bytesAt = "file";
    return record.content.flush().then(() => ledger.put(record.toEntry()));
  }

  /** The queue has an upload as safe as was asked for: its client is told, and it may go out. */
  #safe(record: UploadRecord): void {
    if (record.final) return;
    record.safe = true;
    record.tell();
    this.#offer(record, this.#fresh);
    if (record.bytesAt === "nowhere" || record.taken || this.#fresh.length <= maxWaitingInMemory) return;
    this.#records.evict(record);
    this.#background("letting go of an upload", record.content.release());
  }

  /** A large file whose client waits for `stored` is passed on while it arrives. */
  #offerEarly(record: UploadRecord): void {
    if (record.description.ack !== "stored" || record.content.receivedBytes <= cutThroughBytes) return;
    this.#offer(record, this.#fresh);
  }

  #offer(record: UploadRecord, line: Fifo<bigint>): void {
    if (record.offered) return;
    record.offered = true;
    line.push(record.requestNumber);
    this.#onReady();
  }

  /** Puts an upload back in line, ahead of those never tried. */
  #later(record: UploadRecord, delayMs: number): void {
    record.taken = false;
    if (record.complete) this.#change(record, { kind: "requeued" });
    const back = () => {
      record.offered = false;
      this.#offer(record, this.#returned);
    };
    if (delayMs <= 0) {
      back();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!record.final) back();
    }, delayMs);
    this.#timers.add(timer);
  }

  #saved(record: UploadRecord, receipt: Receipt): void {
    this.#change(record, { kind: "saved", receipt });
    const tookMs = receipt.storedAtMs - record.receivedAtMs;
    const attempt = record.attempts.findLast(({ server }) => server === receipt.server)?.number;
    this.#parts.observer.note({ kind: "stored", upload: record.naming, receipt, attempt, tookMs });
    this.#counters.stored(receipt.sizeBytes);
    record.bytesAt = "nowhere";
    this.#settle(record, receipt.server);
  }

  #reject(record: UploadRecord, rejection: Rejection): void {
    if (record.final) return;
    this.#change(record, { kind: "rejected", rejection });
    this.#parts.observer.note({ kind: "rejected", upload: record.naming, rejection });
    this.#counters.rejected();
    const deadLetter = isDeadLetter(record.toEntry());
    if (!deadLetter) record.bytesAt = "nowhere";
    this.#settle(record, undefined);
    // Sent again, it begins anew, under a new number; a dead letter is revived under its own.
    if (!rejectReasons[rejection.reason].retryable || deadLetter) return;
    this.#records.freeId(record);
    this.#parts.ledger.freeId(record.description.uploadId);
  }

  #settle(record: UploadRecord, server: string | undefined): void {
    const { clock, ledger } = this.#parts;
    record.sender = undefined;
    record.taken = false;
    record.offered = false;
    // A server that may hold a copy all the same stays suspected, over restarts too.
    record.intents = record.intents.filter((intent) => intent.server !== server);
    record.touchedAtMs = clock.nowMs();
    this.#records.finished(record);
    this.#counters.addBytes(-record.content.receivedBytes);
    const entry = record.toEntry();
    const { content, requestNumber } = record;
    // Not waited for: should a crash undo it, the intent is still there and is settled anew.
    if (isDeadLetter(entry)) {
      record.tell();
      const settling: Promise<void> = this.#layDown(record).finally(() => this.#settling.delete(settling));
      this.#settling.add(settling);
      this.#background("keeping a dead letter", settling);
    } else {
      const recorded = ledger.put(entry);
      record.tell();
      this.#background("recording an outcome", recorded);
      this.#background("letting go of an upload's bytes", content.drop());
    }
    this.#onSettled(server === undefined ? { requestNumber } : { requestNumber, server });
  }

  /** Keeps a dead letter. Whoever wants it again gets it from the ledger, with its bytes. */
  async #layDown(record: UploadRecord): Promise<void> {
    const { content } = record;
    try {
      // A file that was passed on while it arrived need not be on disk in full yet.
      if (record.bytesAt === "file") await content.flush();
    } catch (error) {
      record.bytesAt = "nowhere";
      await this.#parts.ledger.put(record.toEntry());
      throw error;
    }
    await this.#parts.ledger.put(record.toEntry());
    await content.release();
    this.#records.evict(record);
  }

  #change(record: UploadRecord, change: Parameters<UploadRecord["change"]>[0]): void {
    const before = record.state.kind;
    record.change(change);
    this.#counters.move(before, record.state.kind);
  }

  #diskFailed(record: UploadRecord, where: string, error: unknown): void {
    if (record.final) return;
    this.#parts.observer.note({ kind: "fault", where, error });
    if (error instanceof DamagedSpool) {
      this.#damaged(record, error);
      return;
    }
    const full = (error as NodeJS.ErrnoException).code === "ENOSPC";
    const rejection: Rejection = full
      ? { reason: "QUEUE_FULL", message: "the balancer's disk is full", retryAfterMs: 5_000 }
      : { reason: "INTERNAL", message: "the balancer could not keep the file" };
    record.bytesAt = "nowhere";
    this.#reject(record, rejection);
  }

  /** What is left of it is put aside, and its client may send it anew. */
  #damaged(record: UploadRecord, { message }: DamagedSpool): void {
    const aside = this.#parts.spool.putAside(record.requestNumber).then(() => {
      record.bytesAt = "nowhere";
      this.#reject(record, { reason: "INTERNAL", message });
    });
    this.#background("putting a damaged upload aside", aside);
  }

  #background(where: string, work: Promise<void> | undefined): void {
    work?.catch((error: unknown) => this.#parts.observer.note({ kind: "fault", where, error }));
  }

  /** An upload in memory, or from the ledger. */
  #find(key: UploadKey): UploadRecord | undefined {
    const hot = this.#records.find(key);
    if (hot) return hot;
    const entry = this.#parts.ledger.find(key);
    // The number of an id that a later upload has taken over is found by number only.
    return entry && (this.#records.byNumber(entry.requestNumber) ?? this.#load(entry));
  }

  /** @param counted whether the entry is among the counted ones in the state it tells of */
  #load(entry: LedgerEntry, counted = true): UploadRecord {
    const { ledger, spool } = this.#parts;
    const { requestNumber, bytesAt } = entry;
    const left = bytesAt === "file" ? SpoolFile.piecesAt(spool.pathOf(requestNumber)) : [];
    const content = this.#content(requestNumber, () => record, left);
    const bytes = bytesAt === "ledger" ? ledger.bytes(requestNumber) : undefined;
    if (bytes) content.append({ offset: 0, data: bytes, crc32c: crc32c(bytes) });
    const record: UploadRecord = UploadRecord.restore(entry, content);
    this.#records.add(record);
    if (record.final) this.#records.finished(record);
    else if (entry.complete && !record.complete && entry.bytesAt !== "nowhere") {
      const detail = `${content.receivedBytes} of ${entry.receivedBytes} bytes are left of ${entry.description.name}`;
      this.#parts.observer.note({ kind: "quarantined", what: "upload", detail, requestNumber });
    }
    if (counted && entry.state === "queued" && !record.complete) {
      this.#counters.move("queued", "receiving");
      this.#counters.addBytes(content.receivedBytes - entry.receivedBytes);
    }
    return record;
  }

  #content(requestNumber: bigint, record: () => UploadRecord, left: readonly Piece[] = []): UploadContent {
    return new UploadContent(
      this.#parts.spool,
      requestNumber,
      (error) => this.#diskFailed(record(), "spooling an upload", error),
      left,
    );
  }

  #sweep(): void {
    const nowMs = this.#parts.clock.nowMs();
    this.#parts.ledger.prune(nowMs - this.#parts.retentionMs);
    for (const record of this.#records.sweep(nowMs)) {
      const idleMs = nowMs - record.touchedAtMs;
      if (record.complete || record.sender || idleMs < this.#parts.unfinishedExpiryMs) continue;
      const message = `the upload was not completed within ${this.#parts.unfinishedExpiryMs} ms`;
      this.#reject(record, { reason: "DEADLINE_EXCEEDED", message });
    }
  }
}

/** Whether an upload ended in a way that lets its client send it again, and nothing is left to go on with: it begins anew then. */
function isForgotten(entry: LedgerEntry): boolean {
  const { state, rejection } = entry;
  return (
    state === "dead" && rejection !== undefined && rejectReasons[rejection.reason].retryable && !isDeadLetter(entry)
  );
}

function idConflict(first: UploadDescription, again: UploadDescription): Opened | undefined {
  const conflict = descriptionConflict(first, again);
  if (!conflict) return undefined;
  const message = `the upload id ${again.uploadId} belongs to another file: ${conflict}`;
  return { kind: "rejected", rejection: { reason: "UPLOAD_ID_CONFLICT", message } };
}
