import type { Rejection } from "../domain/errors.js";
import type { UploadName } from "../domain/occurrence.js";
import {
  type AttemptOutcome,
  type AttemptRecord,
  isFinal,
  nextUploadState,
  type Receipt,
  type UploadChange,
  type UploadDescription,
  type UploadState,
} from "../domain/upload.js";
import type { UploadListener, UploadProgress } from "../ports/inbox.js";
import type { CopyMark, SavedFile } from "../ports/outbox.js";
import type { UploadView } from "../ports/upload-directory.js";
import { type BytesAt, type Intent, keptState, type LedgerEntry } from "./ledger-entry.js";
import type { UploadContent } from "./upload-content.js";

/** How many attempts of one upload are remembered. */
const maxRememberedAttempts = 32;

/** Everything the queue knows of one upload. */
export class UploadRecord implements UploadView {
  readonly requestNumber: bigint;
  readonly receivedAtMs: number;
  readonly client: string;
  #content: UploadContent;
  /** Whether all bytes have come. */
  complete = false;
  /** SHA-256 that came with the end of the file. */
  finishSha256: Uint8Array | undefined;
  /** Whether the queue has it safe, so that `queued` may be said. */
  safe = false;
  /** Where its bytes are that survive a restart. */
  bytesAt: BytesAt = "nowhere";
  /** Whether the queue had all of it once, and some was lost on disk since. */
  damaged = false;
  /** Whether this run has put an entry of it into the ledger. */
  inLedger = false;
  /** Whether the ledger may have bytes of it. */
  bytesInLedger = false;
  /** Attempts whose answer is not known. */
  intents: readonly Intent[] = [];
  /** How its copy is known, once it has come to rest. */
  mark: CopyMark | undefined;
  /** Whether it stands in a line of the queue, or is in dispatch's hands. */
  offered = false;
  /** Whether dispatch holds it. */
  taken = false;
  /** Whether a server may hold the whole file: the finish frame of the running attempt may have gone out. */
  intended = false;
  /** The stream whose bytes are taken; another one may take over. */
  sender: UploadListener | undefined;
  /** What is counted as announced by its sender and not come yet. */
  comingBytes = 0;
  /** When it became final, or was last written to; for forgetting it in time. */
  touchedAtMs: number;
  /** When it was last taken up again after it had been given up. */
  revivedAtMs: number | undefined;
  failures = 0;
  #description: UploadDescription;
  #attemptCount = 0;
  #attempts: AttemptRecord[] = [];
  #state: UploadState = { kind: "receiving" };
  readonly #listeners = new Set<UploadListener>();

  constructor(
    requestNumber: bigint,
    description: UploadDescription,
    client: string,
    content: UploadContent,
    nowMs: number,
  ) {
    this.requestNumber = requestNumber;
    this.#description = description;
    this.client = client;
    this.#content = content;
    this.receivedAtMs = nowMs;
    this.touchedAtMs = nowMs;
  }

  /** The record as it was when its entry was written. Whatever was under way then is not any more. */
  static restore(entry: LedgerEntry, content: UploadContent): UploadRecord {
    const { requestNumber, description, client, receivedAtMs } = entry;
    const record = new UploadRecord(requestNumber, description, client, content, receivedAtMs);
    record.touchedAtMs = entry.touchedAtMs;
    record.revivedAtMs = entry.revivedAtMs;
    record.finishSha256 = entry.finishSha256;
    record.bytesAt = entry.bytesAt;
    record.bytesInLedger = true;
    record.intents = entry.intents;
    record.mark = entry.mark;
    record.failures = entry.failures;
    record.#attemptCount = entry.attemptCount;
    record.#attempts = [...entry.attempts];
    record.complete = entry.complete && content.receivedBytes === entry.receivedBytes;
    record.safe = record.complete && entry.bytesAt !== "nowhere";
    if (record.complete) content.finish(entry.finishSha256 ?? description.sha256);
    record.#state = keptState(entry, record.complete);
    return record;
  }

  /** What the ledger is to keep of it. */
  toEntry(): LedgerEntry {
    const { requestNumber, description, client, receivedAtMs, touchedAtMs, complete, finishSha256, bytesAt } = this;
    const state = this.#state;
    return {
      requestNumber,
      description,
      client,
      receivedAtMs,
      touchedAtMs,
      revivedAtMs: this.revivedAtMs,
      state: state.kind === "dispatching" ? "queued" : state.kind,
      complete,
      receivedBytes: this.content.receivedBytes,
      finishSha256,
      bytesAt,
      intents: this.intents,
      mark: this.intents.length > 0 ? this.mark : undefined,
      attemptCount: this.#attemptCount,
      failures: this.failures,
      attempts: this.#attempts,
      receipt: state.kind === "stored" ? state.receipt : undefined,
      rejection: state.kind === "dead" ? state.rejection : undefined,
    };
  }

  get content(): UploadContent {
    return this.#content;
  }

  /** All bytes must come again, into another content. What is known of size and digest stays. @returns the one before */
  loseBytes(next: UploadContent): UploadContent {
    const lost = this.#content;
    this.#content = next;
    this.complete = false;
    this.safe = false;
    this.bytesAt = "nowhere";
    return lost;
  }

  get description(): UploadDescription {
    return this.#description;
  }

  /** Takes over what a later header of it says of size and digest, where those before left it open. */
  describe({ sizeBytes, sha256 }: UploadDescription): void {
    const known = this.#description;
    this.#description = { ...known, sizeBytes: known.sizeBytes ?? sizeBytes, sha256: known.sha256 ?? sha256 };
  }

  get state(): UploadState {
    return this.#state;
  }

  get final(): boolean {
    return isFinal(this.#state);
  }

  get persistedBytes(): number {
    return this.content.receivedBytes;
  }

  get attempts(): readonly AttemptRecord[] {
    return this.#attempts;
  }

  get naming(): UploadName {
    return { requestNumber: this.requestNumber, uploadId: this.description.uploadId, name: this.description.name };
  }

  /** @throws Error on a change that its state does not allow */
  change(change: UploadChange): void {
    this.#state = nextUploadState(this.#state, change);
  }

  /** The number of the attempt that runs or ran last. */
  get attemptCount(): number {
    return this.#attemptCount;
  }

  beginAttempt(server: string, nowMs: number): number {
    this.#attemptCount += 1;
    this.#attempts.push({ number: this.#attemptCount, server, startedAtMs: nowMs });
    if (this.#attempts.length > maxRememberedAttempts) this.#attempts.shift();
    return this.#attemptCount;
  }

  endAttempt(outcome: AttemptOutcome, message?: string): AttemptRecord | undefined {
    const running = this.voidAttempt();
    if (!running) return undefined;
    const { number, server, startedAtMs } = running;
    const ended: AttemptRecord = { number, server, startedAtMs, outcome, message };
    this.#attempts.push(ended);
    if (outcome === "refused" || outcome === "lost") this.failures += 1;
    return ended;
  }

  /** Forgets the running attempt, if there is one. Its number is not used again. */
  voidAttempt(): AttemptRecord | undefined {
    return this.#attempts.at(-1)?.outcome === undefined ? this.#attempts.pop() : undefined;
  }

  /** Who is told of its news. */
  get listeners(): readonly UploadListener[] {
    return [...this.#listeners];
  }

  listen(listener: UploadListener): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: UploadListener): void {
    this.#listeners.delete(listener);
  }

  /** What a client is to be told of the state as it is, if anything. */
  get progress(): UploadProgress | undefined {
    if (this.#state.kind === "stored") return { kind: "stored", receipt: this.#state.receipt };
    if (this.#state.kind === "dead") return { kind: "rejected", rejection: this.#state.rejection };
    return this.safe && this.description.ack === "queued" ? { kind: "queued" } : undefined;
  }

  /** Tells every listener of the state as it is; lets go of them when it is final. */
  tell(): void {
    const { progress } = this;
    if (!progress) return;
    const { uploadId } = this.description;
    for (const listener of [...this.#listeners]) listener.uploadProgress(uploadId, this.requestNumber, progress);
    if (this.final) this.#listeners.clear();
  }

  /** Tells one listener alone that this upload is none of its business any more. */
  dismiss(listener: UploadListener, rejection: Rejection): void {
    this.#listeners.delete(listener);
    listener.uploadProgress(this.description.uploadId, this.requestNumber, { kind: "rejected", rejection });
  }

  receipt(saved: SavedFile, nowMs: number): Receipt {
    const { uploadId, name } = this.description;
    const server = this.#attempts.at(-1)?.server ?? "";
    const attempts = this.failures + 1;
    // What came is a view into a whole message, which would stay in memory with it.
    const sha256 = new Uint8Array(saved.sha256);
    return { requestNumber: this.requestNumber, uploadId, name, server, attempts, storedAtMs: nowMs, ...saved, sha256 };
  }
}
