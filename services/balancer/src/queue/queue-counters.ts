import type { QueueUsage } from "../domain/admission.js";
import type { UploadState } from "../domain/upload.js";
import type { QueueCounts } from "../ports/upload-directory.js";

type StateName = UploadState["kind"];

/** Counts what the queue holds and has done, as it happens. */
export class QueueCounters {
  readonly #files: Record<StateName, number> = { receiving: 0, queued: 0, dispatching: 0, stored: 0, dead: 0 };
  #waitingBytes = 0;
  #comingBytes = 0;
  #storedBytes = 0;
  #rejectedFiles = 0;

  enter(state: StateName): void {
    this.#files[state] += 1;
  }

  leave(state: StateName): void {
    this.#files[state] -= 1;
  }

  move(from: StateName, to: StateName): void {
    this.#files[from] -= 1;
    this.#files[to] += 1;
  }

  addBytes(bytes: number): void {
    this.#waitingBytes += bytes;
  }

  /** Counts what is announced and has not come yet, or is expected no longer (negative). */
  addComing(bytes: number): void {
    this.#comingBytes += bytes;
  }

  stored(bytes: number): void {
    this.#storedBytes += bytes;
  }

  rejected(): void {
    this.#rejectedFiles += 1;
  }

  /** What admission looks at. */
  get usage(): QueueUsage {
    const { receiving, queued, dispatching } = this.#files;
    return { files: receiving + queued + dispatching, bytes: this.#waitingBytes, comingBytes: this.#comingBytes };
  }

  report(lastRequestNumber: bigint): QueueCounts {
    return {
      receivingFiles: this.#files.receiving,
      queuedFiles: this.#files.queued,
      dispatchingFiles: this.#files.dispatching,
      queuedBytes: this.#waitingBytes,
      storedFiles: this.#files.stored,
      storedBytes: this.#storedBytes,
      rejectedFiles: this.#rejectedFiles,
      lastRequestNumber,
    };
  }
}
