import { Condition } from "@bilancia/proto/condition";
import type { Receipt, UploadEvent, UploadRejected } from "@bilancia/proto/gen/balancer";
import { fromDuration } from "@bilancia/proto/time";
import { receiptProblem } from "./receipt-problem.js";
import { Upload } from "./upload.js";
import type { UploadSource } from "./upload-source.js";
import type { UploadOptions, UploadProgress, UploadResult } from "./upload-types.js";

/** Small files that are read side by side, and so go out together. */
const smallBatchCount = 32;

/** What a rejected file waits before the next try when the balancer names no time. */
const defaultRetryMs = 1_000;

/** Bounds and sources of chance and time of an `UploadQueue`. */
export interface UploadQueueOptions extends UploadOptions {
  /** How often a file that was rejected with leave to try again is tried again. */
  readonly rejectionRetryCount: number;
  readonly nowMs: () => number;
  readonly random: () => number;
}

/**
 * The files of one upload that have no result yet, in their order, and the results nobody has fetched yet. It knows nothing of
 * connections: it says which files to send next, takes events in, and gives results out. `changed` is notified after every change.
 */
export class UploadQueue {
  readonly changed = new Condition();
  /** Grows whenever the balancer's answers bring the upload on: files answered, bytes confirmed. */
  gainCount = 0;
  readonly #options: UploadQueueOptions;
  readonly #unanswered = new Map<string, Upload>();
  #ready: Upload[] = [];
  #results: UploadResult[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #progress = { foundFiles: 0, foundBytes: 0, sentBytes: 0, endedFiles: 0 };

  constructor(options: UploadQueueOptions) {
    this.#options = options;
  }

  /** Files without a result, and results not fetched: what takes memory. */
  get heldCount(): number {
    return this.#unanswered.size + this.#results.length;
  }

  /** The files that have no result. */
  get unanswered(): readonly Upload[] {
    return [...this.#unanswered.values()];
  }

  /** Whether every file added so far has its result. */
  get settled(): boolean {
    return this.#unanswered.size === 0;
  }

  /** The file that has waited longest for its answer, of those that are sent. */
  get longestWaiting(): Upload | undefined {
    for (const upload of this.#unanswered.values()) if (upload.phase === "sent") return upload;
    return undefined;
  }

  add(source: UploadSource): Upload {
    const upload = new Upload(source, this.#options.ack ?? "stored");
    this.#unanswered.set(upload.uploadId, upload);
    this.#ready.push(upload);
    this.#progress.foundFiles++;
    this.#progress.foundBytes += source.sizeBytes ?? 0;
    this.#report();
    return upload;
  }

  /** The next files to send: several small ones, or one large one, or none. */
  take(): Upload[] {
    let count = 0;
    while (count < smallBatchCount && this.#ready[count]?.small) count++;
    const taken = this.#ready.splice(0, Math.max(1, count));
    for (const upload of taken) {
      upload.phase = "sending";
      upload.begunAtMs ??= this.#options.nowMs();
    }
    return taken;
  }

  /** Notes how far a file has been handed to the connection. */
  sent(upload: Upload, sentBytes: number): void {
    if (sentBytes <= upload.sentBytes) return;
    this.#progress.sentBytes += sentBytes - upload.sentBytes;
    upload.sentBytes = sentBytes;
    this.#report();
  }

  /** Takes in what the balancer says. Events of files that have their result already change nothing. */
  handle(events: readonly UploadEvent[]): void {
    for (const event of events) this.#handleOne(event);
    this.changed.notify();
  }

  /** Makes every file that was on a lost connection ready to be sent again, in the old order. */
  restart(): void {
    const restarted = this.unanswered.filter(({ phase }) => phase !== "waiting");
    for (const upload of restarted) upload.phase = "ready";
    this.#ready = restarted;
  }

  /** Gives a file up. */
  fail(upload: Upload, message: string): void {
    if (this.#unanswered.has(upload.uploadId)) this.#settle(upload, { state: "failed", message, answered: false });
  }

  /** Gives every file up. */
  failAll(message: string): void {
    for (const upload of this.unanswered) this.fail(upload, message);
  }

  /** The results since the last call. */
  takeResults(): UploadResult[] {
    const results = this.#results;
    this.#results = [];
    if (results.length > 0) this.changed.notify();
    return results;
  }

  /** Stops the timers. */
  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #handleOne({ uploadId, requestNumber, event }: UploadEvent): void {
    const upload = this.#unanswered.get(uploadId);
    if (!upload || !event) return;
    if (requestNumber > 0n) upload.requestNumber = requestNumber;
    switch (event.$case) {
      case "accepted":
        this.#accepted(upload, Number(event.value.resumeOffset));
        break;
      case "queued":
        if (upload.ack === "queued") this.#settle(upload, { state: "queued" });
        // The balancer has the whole file: there is nothing to go on with.
        else if (upload.phase !== "waiting") upload.phase = "sent";
        this.gainCount++;
        break;
      case "stored":
        this.#settle(upload, storedOutcome(upload, event.value.receipt));
        this.gainCount++;
        break;
      case "rejected":
        this.#rejected(upload, event.value);
        this.gainCount++;
        break;
    }
  }

  #accepted(upload: Upload, resumeBytes: number): void {
    if (resumeBytes > upload.resumeBytes) this.gainCount++;
    if (upload.phase === "asking") {
      upload.resumeBytes = resumeBytes;
      upload.phase = "sending";
    } else if (upload.phase === "overdue") {
      // Other files have gone out since, so the balancer has to be asked again.
      upload.phase = "ready";
      this.#ready.push(upload);
    }
  }

  #rejected(upload: Upload, rejection: UploadRejected): void {
    const { rejectionRetryCount, random, onNotice } = this.#options;
    if (!rejection.retryable || upload.rejectionCount >= rejectionRetryCount) {
      this.#settle(upload, { state: "rejected", rejection });
      return;
    }
    upload.rejectionCount++;
    upload.phase = "waiting";
    const retryAfterMs = rejection.retryAfter ? fromDuration(rejection.retryAfter) : defaultRetryMs;
    // A quarter more at random, so that files rejected together do not come back together.
    const retryInMs = retryAfterMs * (1 + random() / 4);
    onNotice?.({ type: "rejected-for-now", name: upload.source.name, message: rejection.message, retryInMs });
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      upload.phase = "ready";
      this.#ready.push(upload);
      this.changed.notify();
    }, retryInMs);
    this.#timers.add(timer);
  }

  #settle(upload: Upload, outcome: DistributiveOutcome): void {
    this.#unanswered.delete(upload.uploadId);
    const sizeBytes = upload.source.sizeBytes ?? upload.sentBytes;
    const answered = {
      requestNumber: upload.requestNumber,
      uploadId: upload.uploadId,
      name: upload.source.name,
      sizeBytes,
      elapsedMs: upload.begunAtMs === undefined ? 0 : this.#options.nowMs() - upload.begunAtMs,
    };
    upload.phase = "sent";
    this.#results.push({ ...answered, ...outcome });
    this.#progress.endedFiles++;
    this.#progress.sentBytes += Math.max(0, sizeBytes - upload.sentBytes);
    this.#report();
    this.changed.notify();
  }

  #report(): void {
    const progress: UploadProgress = this.#progress;
    this.#options.onProgress?.({ ...progress });
  }
}

/** What a result has besides the facts that every result has. */
type DistributiveOutcome = UploadResult extends infer Result
  ? Result extends UploadResult
    ? Omit<Result, "requestNumber" | "uploadId" | "name" | "sizeBytes" | "elapsedMs">
    : never
  : never;

/** A receipt is believed only where it fits. */
function storedOutcome(upload: Upload, receipt: Receipt | undefined): DistributiveOutcome {
  if (!receipt) return { state: "failed", message: "the balancer says 'stored' but gives no receipt", answered: true };
  const message = receiptProblem(upload, receipt);
  return message === undefined ? { state: "stored", receipt } : { state: "failed", message, answered: true };
}
