import type { ClaimVerdict } from "../domain/claim.js";
import type { AttemptRecord, UploadDescription } from "../domain/upload.js";

/** The uploads that wait, and who wants them. */
export interface PendingUploads {
  /**
   * A page of what waits, in the order of the numbers. `next`: where the next page goes on, absent when there is none; a page may hold fewer
   * uploads than asked for although more follow, so that no call takes long.
   */
  list(query: PendingQuery): { readonly uploads: readonly PendingUpload[]; readonly next: bigint | undefined };
  /** Claims an upload for a server; it is the next it gets. */
  claim(server: string, requestNumber: bigint, isReachable: (server: string) => boolean): ClaimVerdict;
  /** How long a claim holds at most, in milliseconds. */
  readonly claimMs: number;
}

/** What is asked of `PendingUploads.list`. */
export interface PendingQuery {
  readonly server: string;
  /** Only uploads with a failed attempt on the server. */
  readonly failedHere: boolean;
  /** Only uploads with numbers beyond this one. */
  readonly after: bigint;
  /** At least 1. */
  readonly limit: number;
}

/** An upload that is complete and waits for a server, or for its next attempt. */
export interface PendingUpload {
  readonly requestNumber: bigint;
  readonly description: UploadDescription;
  readonly sizeBytes: number;
  readonly receivedAtMs: number;
  readonly attemptCount: number;
  /** The last attempt on the server that asks that was refused or lost. */
  readonly failedHere: AttemptRecord | undefined;
  readonly claimedBy: string | undefined;
}
