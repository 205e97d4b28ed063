import type { ClaimEnd } from "../domain/claim.js";
import type { Rejection } from "../domain/errors.js";
import type { AttemptOutcome, AttemptRecord, Receipt, UploadDescription } from "../domain/upload.js";
import type { Clock } from "../ports/clock.js";
import type { Chunk, ContentReader } from "../ports/content.js";
import type { Observer } from "../ports/observer.js";
import type { Delivery, SavedFile } from "../ports/outbox.js";
import type { UploadRecord } from "./upload-record.js";

/** What a delivery asks of its queue. */
export interface DeliveryHost {
  readonly clock: Clock;
  readonly observer: Observer;
  /** Makes the record durable as it is. */
  persist(record: UploadRecord): Promise<void> | undefined;
  saved(record: UploadRecord, receipt: Receipt): void;
  /** Puts the record back in line. */
  later(record: UploadRecord, delayMs: number): void;
  reject(record: UploadRecord, rejection: Rejection): void;
  /** Ends the claim of a server on the record, if there is one. */
  unclaim(record: UploadRecord, end: ClaimEnd): void;
}

/** An upload in dispatch's hands. */
export class QueuedDelivery implements Delivery {
  readonly #record: UploadRecord;
  readonly #host: DeliveryHost;

  constructor(record: UploadRecord, host: DeliveryHost) {
    this.#record = record;
    this.#host = host;
  }

  get requestNumber(): bigint {
    return this.#record.requestNumber;
  }

  get description(): UploadDescription {
    return this.#record.description;
  }

  get dueSinceMs(): number {
    return this.#record.revivedAtMs ?? this.#record.receivedAtMs;
  }

  get client(): string {
    return this.#record.client;
  }

  get attempts(): readonly AttemptRecord[] {
    return this.#record.attempts;
  }

  get failures(): number {
    return this.#record.failures;
  }

  get receivedBytes(): number {
    return this.#record.content.receivedBytes;
  }

  get sizeBytes(): number | undefined {
    return this.#record.complete ? this.#record.content.receivedBytes : this.#record.description.sizeBytes;
  }

  get sha256(): Uint8Array | undefined {
    return this.#record.finishSha256 ?? this.#record.description.sha256;
  }

  read(): ContentReader {
    return this.#record.content.read();
  }

  whole(maxBytes: number): Chunk | Promise<Chunk> | undefined {
    return this.#record.content.whole(maxBytes);
  }

  begin(server: string): number {
    const record = this.#record;
    const attempt = record.beginAttempt(server, this.#host.clock.nowMs());
    this.#host.observer.note({ kind: "chosen", upload: record.naming, server, attempt, client: record.client });
    return attempt;
  }

  intend(): Promise<void> | undefined {
    const record = this.#record;
    record.intended = true;
    const server = record.attempts.at(-1)?.server ?? "";
    record.intents = [...record.intents, { server, attempt: record.attemptCount }];
    return this.#host.persist(record);
  }

  stored(saved: SavedFile): boolean {
    const record = this.#record;
    record.intended = false;
    if (record.final) return false;
    record.endAttempt("saved");
    this.#host.saved(record, record.receipt(saved, this.#host.clock.nowMs()));
    return true;
  }

  requeue(outcome: Exclude<AttemptOutcome, "saved">, message: string, delayMs: number): void {
    const record = this.#record;
    this.#ended(outcome);
    const ended = record.endAttempt(outcome, message);
    if (record.final) return;
    this.#noteFailure(ended, outcome, message, delayMs);
    // A server that was merely busy still gets what it has claimed.
    if (outcome !== "busy") this.#host.unclaim(record, outcome);
    this.#host.later(record, delayMs);
  }

  release(delayMs: number): void {
    const record = this.#record;
    this.#ended("busy");
    const ended = record.voidAttempt();
    if (record.final) return;
    if (ended) {
      const { server, number: attempt } = ended;
      this.#host.observer.note({ kind: "attempt-void", upload: record.naming, server, attempt });
    }
    if (record.complete || record.sender) {
      this.#host.later(record, delayMs);
      return;
    }
    // Nobody sends it now; it is offered again when somebody does.
    record.taken = false;
    record.offered = false;
    record.content.rest();
  }

  reject(outcome: Exclude<AttemptOutcome, "saved"> | undefined, rejection: Rejection): void {
    if (outcome) {
      this.#ended(outcome);
      const ended = this.#record.endAttempt(outcome, rejection.message);
      if (!this.#record.final) this.#noteFailure(ended, outcome, rejection.message, undefined);
    }
    this.#host.reject(this.#record, rejection);
  }

  #noteFailure(
    ended: AttemptRecord | undefined,
    outcome: AttemptOutcome,
    message: string,
    retryInMs: number | undefined,
  ): void {
    if (!ended) return;
    const { server, number: attempt } = ended;
    const facts = { server, attempt, outcome, message, retryInMs };
    this.#host.observer.note({ kind: "attempt-failed", upload: this.#record.naming, ...facts });
  }

  /** The attempt is over. Unless its answer was lost, the server is known not to hold the file because of it. */
  #ended(outcome: AttemptOutcome): void {
    const record = this.#record;
    record.intended = false;
    if (outcome === "lost") return;
    record.intents = record.intents.filter(({ attempt }) => attempt !== record.attemptCount);
  }
}
