import { sizeProblem } from "../domain/admission.js";
import type { Rejection } from "../domain/errors.js";
import { sameBytes } from "../domain/upload.js";
import type { Chunk } from "../ports/content.js";
import type { IncomingUpload, UploadListener } from "../ports/inbox.js";
import { memoryLedger } from "./ledger.js";
import { inBackground, type QueueWorks } from "./queue-parts.js";
import { smallBytes } from "./upload-content.js";
import type { UploadRecord } from "./upload-record.js";

/** A file of more than this is passed on while it still arrives, in bytes: larger than one message. */
const cutThroughBytes = 256 * 1024;

/** An upload whose bytes arrive, in the hands of one sender. What a sender says after another one took over counts for nothing. */
export class ArrivingUpload implements IncomingUpload {
  readonly #record: UploadRecord;
  readonly #sender: UploadListener;
  readonly #works: QueueWorks;

  constructor(record: UploadRecord, sender: UploadListener, works: QueueWorks) {
    this.#record = record;
    this.#sender = sender;
    this.#works = works;
  }

  get requestNumber(): bigint {
    return this.#record.requestNumber;
  }

  get receivedBytes(): number {
    return this.#record.content.receivedBytes;
  }

  append(chunk: Chunk): void {
    if (!this.#mine) return;
    const record = this.#record;
    const { limits, clock } = this.#works.parts;
    const receivedBytes = chunk.offset + chunk.data.length;
    const { sizeBytes } = record.description;
    if (sizeBytes !== undefined && receivedBytes > sizeBytes) {
      const message = `at least ${receivedBytes} bytes came; expected ${sizeBytes}`;
      this.#reject({ reason: "SIZE_MISMATCH", message });
      return;
    }
    const problem = sizeProblem(receivedBytes, limits);
    if (problem) {
      this.#reject(problem);
      return;
    }
    record.touchedAtMs = clock.nowMs();
    record.content.append(chunk);
    this.#works.uploads.counters.addBytes(chunk.data.length);
    this.#works.uploads.countComing(record);
    this.#works.uploads.keepArriving(record);
    this.offerEarly();
  }

  ready(): Promise<void> | undefined {
    const ready = this.#record.content.ready();
    // What was in memory may be on its way to disk now.
    if (ready && this.#mine) this.#works.uploads.keepArriving(this.#record);
    return ready;
  }

  complete(end: Parameters<IncomingUpload["complete"]>[0]): void {
    if (!this.#mine) return;
    const record = this.#record;
    const { description, content } = record;
    const expected = [description.sizeBytes, end.sizeBytes].find(
      (size) => size !== undefined && size !== content.receivedBytes,
    );
    if (expected !== undefined) {
      const message = `${content.receivedBytes} bytes came; expected ${expected}`;
      this.#reject({ reason: "SIZE_MISMATCH", message });
      return;
    }
    if (description.sha256 && end.sha256 && !sameBytes(description.sha256, end.sha256)) {
      const message = "the SHA-256 at the end of the file is not the one in its header";
      this.#reject({ reason: "DIGEST_MISMATCH", message });
      return;
    }
    record.complete = true;
    record.sender = undefined;
    this.#works.uploads.countComing(record);
    record.finishSha256 = end.sha256 && new Uint8Array(end.sha256);
    this.#works.uploads.change(record, { kind: "completed", underway: record.taken });
    content.finish(record.finishSha256 ?? description.sha256);
    const { observer } = this.#works.parts;
    observer.note({ kind: "queued", upload: record.naming, sizeBytes: content.receivedBytes });
    const kept = description.ack === "queued" ? this.#keep() : undefined;
    if (kept) {
      this.#after(kept, () => this.#safe());
      return;
    }
    this.#safe();
    this.#makeRoom();
  }

  reject(rejection: Rejection): void {
    if (this.#mine) this.#reject(rejection);
  }

  /** A large file whose client waits for `stored` is passed on while it arrives. */
  offerEarly(): void {
    const { description, content } = this.#record;
    if (description.ack !== "stored" || content.receivedBytes <= cutThroughBytes) return;
    this.#works.line.join(this.#record);
  }

  get #mine(): boolean {
    return this.#record.sender === this.#sender && !this.#record.complete && !this.#record.final;
  }

  #reject(rejection: Rejection): void {
    this.#works.settlement.reject(this.#record, rejection);
  }

  /** Memory that is tight holds the bytes of a small file no longer, although its client does not wait for them to be on disk. Those of a larger one are there already. */
  #makeRoom(): void {
    const { content, taken, final } = this.#record;
    if (content.spilled || taken || final || !this.#works.parts.spool.tight) return;
    const kept = this.#keep();
    if (kept) this.#after(kept, () => this.#leaveToLedger());
    else content.spill();
  }

  /** Makes the upload durable, bytes and record: a small one in the ledger, a larger one in the spool's file. `undefined` where the ledger keeps nothing. */
  #keep(): Promise<void> | undefined {
    const record = this.#record;
    const { ledger } = this.#works.parts;
    if (ledger === memoryLedger) return undefined;
    const small = record.content.spilled ? undefined : record.content.whole(smallBytes);
    if (small instanceof Promise) return small.then(({ data }) => this.#keepInLedger(data));
    if (small) return this.#keepInLedger(small.data);
    record.bytesAt = "file";
    return this.#keepInFile();
  }

  async #keepInFile(): Promise<void> {
    const { content } = this.#record;
    await content.checkLeft();
    await content.flush();
    await this.#works.uploads.keep(this.#record);
  }

  #keepInLedger(data: Uint8Array): Promise<void> | undefined {
    this.#record.bytesAt = "ledger";
    return this.#works.uploads.keep(this.#record, data);
  }

  #after(kept: Promise<void>, next: () => void): void {
    const { keeping, settlement } = this.#works;
    const ended: Promise<void> = kept.then(
      () => {
        keeping.delete(ended);
        next();
      },
      (error: unknown) => {
        keeping.delete(ended);
        settlement.diskFailed(this.#record, "keeping an upload", error);
      },
    );
    keeping.add(ended);
  }

  /** The queue has the upload as safe as was asked for: its client is told, and it may go out. */
  #safe(): void {
    const record = this.#record;
    if (record.final) return;
    record.safe = true;
    record.tell();
    if (!record.taken) record.content.rest();
    this.#works.line.join(record);
    if (record.description.ack === "queued") this.#leaveToLedger();
  }

  /** Lets go of an upload that the ledger knows in full, bytes too, and that will not go out soon. */
  #leaveToLedger(): void {
    const record = this.#record;
    const { parts, line, uploads } = this.#works;
    // What has come of an attempt meanwhile the ledger need not know.
    if (record.bytesAt === "nowhere" || record.taken || record.final || record.attemptCount > 0) return;
    if (!line.long && !parts.spool.tight) return;
    inBackground(parts.observer, "letting go of an upload", uploads.letGo(record));
  }
}
