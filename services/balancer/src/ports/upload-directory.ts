import type { AttemptRecord, UploadDescription, UploadState } from "../domain/upload.js";

/** The queue as the query and admin rpcs see it. */
export interface UploadDirectory {
  find(key: UploadKey): UploadView | undefined;
  /** Where an upload stands; `undefined` where it does not wait for its turn. */
  place(upload: UploadView): QueuePlace | undefined;
  /**
   * Drops an upload that is not stored yet. The promise is of its being durable; `undefined` where nothing is kept.
   *
   * @throws BilanciaError `UNKNOWN_UPLOAD` or `NOT_CANCELLABLE`
   */
  cancel(key: UploadKey): Promise<void> | undefined;
  counts(): QueueCounts;
}

/** What is known of one upload. */
export interface UploadView {
  readonly description: UploadDescription;
  readonly requestNumber: bigint;
  readonly state: UploadState;
  readonly persistedBytes: number;
  readonly complete: boolean;
  readonly attempts: readonly AttemptRecord[];
  readonly receivedAtMs: number;
}

/** One of an upload's two names. */
export type UploadKey = { readonly uploadId: string } | { readonly requestNumber: bigint };

/** What the queue holds and has done since the start. */
export interface QueueCounts {
  readonly receivingFiles: number;
  readonly queuedFiles: number;
  readonly dispatchingFiles: number;
  readonly queuedBytes: number;
  readonly storedFiles: number;
  readonly storedBytes: number;
  readonly rejectedFiles: number;
  readonly lastRequestNumber: bigint;
}

/** Where an upload stands in line, about: clients take turns, and more of them may come. */
export interface QueuePlace {
  /** 1 for the next one. */
  readonly position: number;
  /** What goes out before it, each file as it counts in turns (`fairCost`). */
  readonly bytesAhead: number;
  /** Until its turn, at the pace of late; `undefined` while that is not known. */
  readonly startsInMs: number | undefined;
}
