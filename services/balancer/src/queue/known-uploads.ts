import { crc32c } from "@node-rs/crc32";
import type { UploadChange, UploadDescription } from "../domain/upload.js";
import type { UploadListener } from "../ports/inbox.js";
import type { UploadKey, UploadView } from "../ports/upload-directory.js";
import { memoryLedger } from "./ledger.js";
import { hasEnded, type LedgerEntry, viewOf } from "./ledger-entry.js";
import type { Piece } from "./piece.js";
import { QueueCounters } from "./queue-counters.js";
import { inBackground, type UploadQueueParts } from "./queue-parts.js";
import { RecordIndex } from "./record-index.js";
import { SpoolFile } from "./spool-file.js";
import { UploadContent } from "./upload-content.js";
import { UploadRecord } from "./upload-record.js";

/** Told of a disk that fails while the bytes of an upload go out to it or come back. */
export type OnDiskFailure = (record: UploadRecord, where: string, error: unknown) => void;

/**
 * Every upload that the queue knows. What arrives, is under way, or ended lately is a record in memory; of the others the ledger has the entry, and a record is loaded
 * from it when there is something to do. The counters follow each change of state.
 */
export class KnownUploads {
  readonly records: RecordIndex;
  readonly counters = new QueueCounters();
  readonly #parts: UploadQueueParts;
  readonly #onDiskFailure: OnDiskFailure;
  /** Who is to be told of uploads that only the ledger knows. */
  readonly #listeners = new Map<bigint, readonly UploadListener[]>();

  constructor(parts: UploadQueueParts, onDiskFailure: OnDiskFailure) {
    this.#parts = parts;
    this.#onDiskFailure = onDiskFailure;
    this.records = new RecordIndex(parts.retentionMs, parts.maxFinishedInMemory);
  }

  /** A new upload; `undefined` where there is no number for it yet. */
  begin(description: UploadDescription, client: string): UploadRecord | undefined {
    const { numbering, clock } = this.#parts;
    const requestNumber = numbering.next();
    if (requestNumber === undefined) return undefined;
    const content = this.#content(requestNumber, () => record);
    const record: UploadRecord = new UploadRecord(requestNumber, description, client, content, clock.nowMs());
    this.records.add(record);
    this.counters.enter(record.state.kind);
    return record;
  }

  /** An upload in memory, or from the ledger. One that has ended is not loaded: nothing is to be done with it, and the ledger answers for it. */
  find(key: UploadKey): UploadRecord | undefined {
    return this.#loaded(this.#look(key));
  }

  /** An upload whose turn has come in the line. A queued one whose entry is damaged is not waited for any more. */
  due(requestNumber: bigint): UploadRecord | undefined {
    const known = this.#look({ requestNumber });
    if (!known) this.#strike(requestNumber);
    return this.#loaded(known);
  }

  /** An upload as others see it. It is not loaded for that. */
  view(key: UploadKey): UploadView | undefined {
    const known = this.#look(key);
    return known instanceof UploadRecord ? known : known && viewOf(known);
  }

  /** What the ledger has, or is to have, of an upload. */
  entry(requestNumber: bigint): LedgerEntry | undefined {
    return this.records.byNumber(requestNumber)?.toEntry() ?? this.#parts.ledger.find({ requestNumber });
  }

  /** @param counted whether the entry is among the counted ones in the state it tells of */
  load(entry: LedgerEntry, counted = true): UploadRecord {
    const { ledger, spool, observer } = this.#parts;
    const { requestNumber, bytesAt } = entry;
    const left = bytesAt === "file" ? SpoolFile.piecesAt(spool.pathOf(requestNumber)) : [];
    const content = this.#content(requestNumber, () => record, left);
    const bytes = bytesAt === "ledger" ? ledger.bytes(requestNumber) : undefined;
    if (bytes) content.append({ offset: 0, data: bytes, crc32c: crc32c(bytes) });
    const record: UploadRecord = UploadRecord.restore(entry, content);
    this.records.add(record);
    for (const listener of this.#listeners.get(requestNumber) ?? []) record.listen(listener);
    this.#listeners.delete(requestNumber);
    if (record.final) this.records.finished(record);
    else if (entry.complete && !record.complete && entry.bytesAt !== "nowhere") {
      const detail = `${content.receivedBytes} of ${entry.receivedBytes} bytes are left of ${entry.description.name}`;
      observer.note({ kind: "quarantined", what: "upload", detail, requestNumber });
      record.damaged = true;
    }
    // From now on its client has time to come back.
    if (!record.complete && !record.final) record.touchedAtMs = this.#parts.clock.nowMs();
    if (counted && entry.state === "queued" && !record.complete) {
      this.counters.move("queued", "receiving");
      this.counters.addBytes(content.receivedBytes - entry.receivedBytes);
    }
    return record;
  }

  /**
   * Has the ledger keep a record as it is, and its bytes where they are given.
   *
   * @param lazy see `Ledger.amend`
   * @returns a promise of its being on disk, or `undefined` where nothing is kept
   */
  keep(record: UploadRecord, bytes?: Uint8Array, lazy = false): Promise<void> | undefined {
    const { ledger } = this.#parts;
    // Most uploads are written twice: as intended, and as stored. The second time little of it is new.
    if (record.inLedger && !record.bytesInLedger && !bytes) return ledger.amend(record.toEntry(), lazy);
    const kept = ledger.put(record.toEntry(), bytes, record.bytesInLedger);
    if (bytes) record.bytesInLedger = true;
    kept?.then(
      () => {
        record.inLedger = true;
      },
      // Its caller hears of it too.
      () => {},
    );
    return kept;
  }

  /** Has an upload whose bytes are lost begin at its first byte. @returns what it had of them */
  beginAnew(record: UploadRecord): UploadContent {
    const lost = record.loseBytes(this.#content(record.requestNumber, () => record));
    this.counters.addBytes(-lost.receivedBytes);
    return lost;
  }

  /** Has the ledger know of an upload that arrives, once bytes of it are in the spool's file: it can be resumed after a restart then. */
  keepArriving(record: UploadRecord): void {
    const { ledger, observer } = this.#parts;
    if (!record.content.spilled || record.bytesAt !== "nowhere" || ledger === memoryLedger) return;
    record.bytesAt = "file";
    inBackground(observer, "recording an upload", this.keep(record));
  }

  /** Lets go of the memory of an upload that nobody sends for now, where that is short. */
  abandon(record: UploadRecord): void {
    if (!this.#parts.spool.crowded || record.content.receivedBytes === 0) return;
    record.content.spill();
    this.keepArriving(record);
  }

  /**
   * Leaves an upload that waits for its next attempt to the ledger, where memory is short and the ledger has its bytes: while no server takes anything, the whole line would be
   * loaded one after another. Its attempts are recorded first.
   */
  leaveWaiting(record: UploadRecord): void {
    const { spool, observer } = this.#parts;
    if (!spool.tight || record.bytesAt !== "ledger" || !record.complete) return;
    const { attemptCount } = record;
    const left = this.keep(record)?.then(() => {
      return record.final || record.taken || record.attemptCount !== attemptCount ? undefined : this.letGo(record);
    });
    inBackground(observer, "letting go of an upload", left);
  }

  /** Leaves an upload to the ledger, which has all of it. */
  evict(record: UploadRecord): void {
    this.records.evict(record);
    if (record.listeners.length > 0) this.#listeners.set(record.requestNumber, record.listeners);
  }

  /** The same, and closes what it has open. */
  letGo(record: UploadRecord): Promise<void> {
    this.evict(record);
    return record.content.release();
  }

  /** A listener of an upload that only the ledger knows has left. */
  unlisten(requestNumber: bigint, listener: UploadListener): void {
    const left = this.#listeners.get(requestNumber)?.filter((other) => other !== listener);
    if (!left) return;
    if (left.length > 0) this.#listeners.set(requestNumber, left);
    else this.#listeners.delete(requestNumber);
  }

  change(record: UploadRecord, change: UploadChange): void {
    const before = record.state.kind;
    record.change(change);
    this.counters.move(before, record.state.kind);
  }

  /** Counts anew what an upload's sender has announced and not sent yet. Who has left is counted with what has come. */
  countComing(record: UploadRecord): void {
    const { sender, description, content } = record;
    const comingBytes = sender ? Math.max(0, (description.sizeBytes ?? 0) - content.receivedBytes) : 0;
    this.counters.addComing(comingBytes - record.comingBytes);
    record.comingBytes = comingBytes;
  }

  #strike(requestNumber: bigint): void {
    this.#listeners.delete(requestNumber);
    const bytes = this.#parts.ledger.strike(requestNumber);
    if (bytes === undefined) return;
    this.counters.leave("queued");
    this.counters.addBytes(-bytes);
  }

  #look(key: UploadKey): UploadRecord | LedgerEntry | undefined {
    const hot = this.records.find(key);
    if (hot) return hot;
    const entry = this.#parts.ledger.find(key);
    // The number of an id that a later upload has taken over is found by number only.
    return entry && (this.records.byNumber(entry.requestNumber) ?? entry);
  }

  #loaded(known: UploadRecord | LedgerEntry | undefined): UploadRecord | undefined {
    if (known instanceof UploadRecord) return known;
    return known && !hasEnded(known) ? this.load(known) : undefined;
  }

  #content(requestNumber: bigint, record: () => UploadRecord, left: readonly Piece[] = []): UploadContent {
    return new UploadContent(
      this.#parts.spool,
      requestNumber,
      (error) => this.#onDiskFailure(record(), "spooling an upload", error),
      left,
    );
  }
}
