import type { UploadKey } from "../ports/upload-directory.js";
import { Fifo } from "./fifo.js";
import type { UploadRecord } from "./upload-record.js";

/** Finds uploads by their two names, and forgets finished ones in time. */
export class RecordIndex {
  readonly #retentionMs: number;
  readonly #maxFinished: number;
  readonly #byId = new Map<string, UploadRecord>();
  readonly #byNumber = new Map<bigint, UploadRecord>();
  readonly #unfinished = new Set<UploadRecord>();
  readonly #finished = new Fifo<UploadRecord>();

  /** @param maxFinished finished uploads that are remembered at most: their memory is bounded whatever the traffic */
  constructor(retentionMs: number, maxFinished: number) {
    this.#retentionMs = retentionMs;
    this.#maxFinished = maxFinished;
  }

  get unfinished(): ReadonlySet<UploadRecord> {
    return this.#unfinished;
  }

  find(key: UploadKey): UploadRecord | undefined {
    return "uploadId" in key ? this.byId(key.uploadId) : this.byNumber(key.requestNumber);
  }

  byId(uploadId: string): UploadRecord | undefined {
    return this.#byId.get(uploadId);
  }

  byNumber(requestNumber: bigint): UploadRecord | undefined {
    return this.#byNumber.get(requestNumber);
  }

  add(record: UploadRecord): void {
    this.#byId.set(record.description.uploadId, record);
    this.#byNumber.set(record.requestNumber, record);
    this.#unfinished.add(record);
  }

  /** Lets the upload id be used for a new upload; the number still finds this one. */
  freeId(record: UploadRecord): void {
    if (this.byId(record.description.uploadId) === record) this.#byId.delete(record.description.uploadId);
  }

  /** Forgets a record; the ledger has it. */
  evict(record: UploadRecord): void {
    this.freeId(record);
    this.#byNumber.delete(record.requestNumber);
    this.#unfinished.delete(record);
  }

  /** The record is not final any more. */
  unfinish(record: UploadRecord): void {
    this.#unfinished.add(record);
  }

  /** The record has become final, but the ledger may not have it so yet: it must not be forgotten. */
  end(record: UploadRecord): void {
    this.#unfinished.delete(record);
  }

  /** The record is final, and need not be remembered for ever. */
  finished(record: UploadRecord): void {
    this.#unfinished.delete(record);
    this.#finished.push(record);
    if (this.#finished.length > this.#maxFinished) this.#forgetOldest();
  }

  /** Forgets what has been finished for long enough, and returns what is not finished. */
  sweep(nowMs: number): UploadRecord[] {
    for (let oldest = this.#finished.peek(); oldest; oldest = this.#finished.peek()) {
      if (nowMs - oldest.touchedAtMs < this.#retentionMs) break;
      this.#forgetOldest();
    }
    return [...this.#unfinished];
  }

  #forgetOldest(): void {
    const record = this.#finished.shift();
    // One that was revived is in use again; it comes back here when it ends.
    if (!record || this.#unfinished.has(record)) return;
    this.freeId(record);
    // One that was evicted and loaded anew is another record with the same number.
    if (this.byNumber(record.requestNumber) === record) this.#byNumber.delete(record.requestNumber);
  }
}
