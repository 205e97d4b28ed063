import type { Rejection } from "../domain/errors.js";
import type { AttemptRecord, UploadDescription } from "../domain/upload.js";
import type { ContentReader } from "./content.js";

/**
 * The dead letters of the queue, and what an operator can do about them.
 *
 * All that take a request number throw BilanciaError `UNKNOWN_UPLOAD` or `NOT_A_DEAD_LETTER`.
 */
export interface DeadLetters {
  /** Those with numbers beyond `after`, in order; fewer than `limit` only where no more follow. */
  list(after: bigint, limit: number): Promise<readonly DeadLetter[]>;
  find(requestNumber: bigint): Promise<DeadLetter>;
  /** Puts it back in line under its number. Resolves once that is durable. */
  retry(requestNumber: bigint): Promise<void>;
  /** Forgets its bytes; the upload stays known as given up. Resolves once that is durable. */
  discard(requestNumber: bigint): Promise<void>;
  /** Its bytes, beside whatever else happens to it. The reader must be closed. */
  read(requestNumber: bigint): Promise<{ readonly letter: DeadLetter; readonly content: ContentReader }>;
}

/** An upload that was given up although the queue still has all its bytes. */
export interface DeadLetter {
  readonly requestNumber: bigint;
  readonly description: UploadDescription;
  /** Who sent it: its peer address. */
  readonly client: string;
  readonly sizeBytes: number;
  /** As the client said, in the header or at the end. */
  readonly sha256: Uint8Array | undefined;
  readonly receivedAtMs: number;
  readonly givenUpAtMs: number;
  readonly rejection: Rejection;
  readonly attemptCount: number;
  /** The last of the attempts, oldest first. */
  readonly attempts: readonly AttemptRecord[];
}
