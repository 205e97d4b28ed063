import type { Rejection } from "../domain/errors.js";
import type { AttemptOutcome, AttemptRecord, Receipt, UploadDescription } from "../domain/upload.js";
import type { Chunk, ContentReader } from "./content.js";

/** The queue as dispatch sees it: where uploads go out, one client after another, each in its own order. */
export interface Outbox {
  /** Takes the next upload that can be sent, or `undefined`. It is the caller's until it is settled. */
  take(): Delivery | undefined;
  /** The servers for which claimed uploads may be waiting. */
  readonly claimants: Iterable<string>;
  /** Takes the next upload that a server has claimed, or `undefined`. It is the caller's until it is settled. */
  takeClaimed(server: string): Delivery | undefined;
  /** Ends all claims of a server that cannot be talked to: what it has claimed may go anywhere. */
  endClaims(server: string): void;
  /** Ends the claims that have been held for too long. */
  expireClaims(): void;
  /** Sets what to call when `take` may have something again. */
  onReady(callback: () => void): void;
  /** Sets what to call when an upload has reached its end; dispatch looks for extra copies then. */
  onSettled(callback: (settled: SettledUpload) => void): void;
  /** Sets what to call when the bytes of an upload are lost that a server may hold: what it holds is the only copy then. */
  onBytesLost(callback: (requestNumber: bigint) => void): void;
  /** What was with a server when the balancer last ended: whether it arrived there is not known. */
  suspicions(): readonly Suspicion[];
  /**
   * A server turns out to hold a file whose bytes the balancer has lost: the upload is stored after all. Where it is not taken for that the server stays suspected: `sent again`,
   * because its client has come back, and `wrong`, because it is not what the client has sent.
   */
  found(requestNumber: bigint, server: string, file: FoundFile): "taken" | "sent again" | "wrong";
  /** It is known now what attempts up to this one have left on a server: they need not be suspected after the next restart. */
  cleared(requestNumber: bigint, server: string, upToAttempt: number): void;
}

/** An upload in dispatch's hands. Exactly one of `stored`, `requeue`, `release` and `reject` settles it. */
export interface Delivery {
  readonly requestNumber: bigint;
  readonly description: UploadDescription;
  /** From when on the time allowed for it counts: its arrival, or when it was last revived. */
  readonly dueSinceMs: number;
  /** Who sent it, for logs. */
  readonly client: string;
  /** How many bytes have come. */
  readonly receivedBytes: number;
  /** Length of the file, where it is known: all bytes have come, or the client has said so. */
  readonly sizeBytes: number | undefined;
  /** SHA-256 of the file as its client has said so far, at the beginning or at the end of it. */
  readonly sha256: Uint8Array | undefined;
  /** Attempts so far, oldest first. */
  readonly attempts: readonly AttemptRecord[];
  /** Attempts so far that were refused or lost. */
  readonly failures: number;
  /** The bytes from the beginning; each call reads anew. */
  read(): ContentReader;
  /** The whole content as one chunk, where it is complete and has at most `maxBytes`; a promise where it must be fetched. */
  whole(maxBytes: number): Chunk | Promise<Chunk> | undefined;
  /** Records that an attempt begins; returns its number. */
  begin(server: string): number;
  /**
   * Makes durable that this server may hold the file from now on. Must be awaited before the finish frame goes out;
   * `undefined` when there is nothing to wait for. Where it fails nothing is given out for a while: the upload is to be released.
   */
  intend(): Promise<void> | undefined;
  /** The server has it. Returns false where that comes too late, because the upload has been given up meanwhile: the server's copy is one too many. */
  stored(saved: SavedFile): boolean;
  /** The attempt failed: the upload goes back to the queue and is given out again after `delayMs`. */
  requeue(outcome: Exclude<AttemptOutcome, "saved">, message: string, delayMs: number): void;
  /**
   * Gives it back as it was: no attempt was made, or the one begun is void because the bytes stopped coming. It is given out again after
   * `delayMs`, and not before there is something to send.
   */
  release(delayMs: number): void;
  /** The upload is given up. */
  reject(outcome: Exclude<AttemptOutcome, "saved"> | undefined, rejection: Rejection): void;
}

/** What a server says of a file that it holds. */
export type SavedFile = Pick<Receipt, "storedName" | "sizeBytes" | "sha256" | "textStats">;

/** What a server says that is asked for a file, and in which attempt of which term it has got it. */
export interface FoundFile {
  readonly saved: SavedFile;
  readonly storedBy: AttemptInTerm;
}

/** An attempt whose answer was lost, or was wrong: the server may hold the file. */
export interface Suspicion {
  readonly requestNumber: bigint;
  readonly uploadId: string;
  readonly server: string;
  readonly attempt: number;
  /** The server says that it has stored something else than was sent: of no use for the upload. */
  readonly isWrong?: boolean;
  /** The balancer has lost the bytes: the server is asked whether it has them. */
  readonly bytesGone?: boolean;
  /** The upload has come to rest. */
  readonly rests?: Rest;
}

/** An attempt, by the run of the balancer in which it was made. */
export interface AttemptInTerm {
  readonly term: number;
  readonly attempt: number;
}

/**
 * How the copy of an upload at rest is told from extra ones. Two of the balancer's servers may be one, under two of its addresses: it must be able to tell that the copy it is
 * asked for is not meant.
 */
export type CopyMark =
  /** The last attempt that did not store it: a server that has seen a later one is the one that has the file. */
  | { readonly lastOther: AttemptInTerm }
  /** The attempt that stored it, as the server says that was found to have it. */
  | { readonly storedBy: AttemptInTerm };

/** Where an upload has come to rest, if anywhere, and how its copy is known. */
export interface Rest {
  readonly server: string | undefined;
  readonly mark: CopyMark;
}

/** An upload that has ended. */
export interface SettledUpload extends Rest {
  readonly requestNumber: bigint;
}
