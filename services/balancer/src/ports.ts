/**
 * Where the middle folders meet: what intake, dispatch, admin and observe need of the queue and of each other, in their own words. The
 * implementations are named in `app.ts` only.
 */
import type { LoadResponse } from "@bilancia/proto/gen/storage";
import type { Backend } from "./domain/backend.js";
import type { ClaimVerdict } from "./domain/claim.js";
import type { Rejection } from "./domain/errors.js";
import type { Occurrence } from "./domain/occurrence.js";
import type { PickEnd, PickRecord } from "./domain/pick.js";
import type { ServerEntry } from "./domain/server-entry.js";
import type { ServerState } from "./domain/server-state.js";
import type { AttemptOutcome, AttemptRecord, Receipt, UploadDescription, UploadState } from "./domain/upload.js";

/** Unix time in milliseconds, and chance: handed in, so that decisions can be tested. */
export interface Clock {
  nowMs(): number;
  /** From 0 up to, not including, 1. */
  random(): number;
}

/** A piece of a file. `data` may be kept; nobody writes to it. */
export interface Chunk {
  /** Position of `data` in the file, in bytes. */
  readonly offset: number;
  readonly data: Uint8Array;
  /** CRC-32C of `data`; has been checked. */
  readonly crc32c: number;
  /** The whole message, where it holds this chunk and nothing else: it can be passed on as it is. */
  readonly raw?: Buffer | undefined;
}

// ── Intake and the queue ────────────────────────────────────────────────────────────────────────────────────────────

/** What a client is told of an upload. `stored` and `rejected` are the last. */
export type UploadProgress =
  | { readonly kind: "queued" }
  | { readonly kind: "stored"; readonly receipt: Receipt }
  | { readonly kind: "rejected"; readonly rejection: Rejection };

/** A client's stream, waiting for news. Called synchronously; must not throw. */
export interface UploadListener {
  /** Who the client is, for logs: its peer address. */
  readonly client: string;
  uploadProgress(uploadId: string, requestNumber: bigint, progress: UploadProgress): void;
}

/** What `Inbox.open` answers. */
export type Opened =
  /** The bytes are wanted, from `upload.receivedBytes` on. */
  | { readonly kind: "receiving"; readonly upload: IncomingUpload }
  /** The bytes are all there already. `told`: the listener has just been told what it waits for; else it will be. */
  | { readonly kind: "known"; readonly requestNumber: bigint; readonly told: boolean }
  /** Not let in. Nothing is kept. */
  | { readonly kind: "rejected"; readonly rejection: Rejection };

/** The queue as intake sees it: where uploads come in. */
export interface Inbox {
  /**
   * Begins an upload, takes up one that was broken off, or joins one that is known. The listener hears of it until it is final, or until
   * `leave`. A stream that was still sending the same upload is told `SUPERSEDED`.
   */
  open(description: UploadDescription, listener: UploadListener): Opened;
  /** The listener is gone: it is told nothing more, and what it was sending can be resumed by another. */
  leave(requestNumber: bigint, listener: UploadListener): void;
}

/** An upload whose bytes arrive. Ends with `complete` or `reject`, or with `Inbox.leave`. */
export interface IncomingUpload {
  readonly requestNumber: bigint;
  readonly receivedBytes: number;
  /** Takes the next chunk, which must begin at `receivedBytes`. A file that grows too large is rejected through the listener. */
  append(chunk: Chunk): void;
  /** Resolves when more bytes can be taken without piling up in memory; `undefined` when that is now. */
  ready(): Promise<void> | undefined;
  /** All bytes are there. Rejects the upload through the listener when size or digest contradict what was said before. */
  complete(end: { readonly sizeBytes?: number | undefined; readonly sha256?: Uint8Array | undefined }): void;
  /** Gives the upload up; the listener is told. Nothing of it is kept where the reason is retryable, so that it can be sent again. */
  reject(rejection: Rejection): void;
}

// ── The queue and dispatch ──────────────────────────────────────────────────────────────────────────────────────────

/** The queue as dispatch sees it: where uploads go out, oldest first. */
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
  /** What was with a server when the balancer last ended: whether it arrived there is not known. */
  suspicions(): readonly Suspicion[];
  /**
   * A server turns out to hold a file whose bytes the balancer has lost in a restart: the upload is stored after all. Returns false where it is not taken for that,
   * because its client has come back and sends it again: the server stays suspected.
   */
  found(requestNumber: bigint, server: string, saved: SavedFile): boolean;
  /** It is known now what attempts up to this one have left on a server: they need not be suspected after the next restart. */
  cleared(requestNumber: bigint, server: string, upToAttempt: number): void;
}

/** What a server says of a file that it holds. */
export type SavedFile = Pick<Receipt, "storedName" | "sizeBytes" | "sha256" | "textStats">;

/** An attempt whose answer was lost: the server may hold the file. */
export interface Suspicion {
  readonly requestNumber: bigint;
  readonly uploadId: string;
  readonly server: string;
  readonly attempt: number;
  /** The bytes did not survive the balancer's end: the server is asked whether it has them. */
  readonly bytesGone?: boolean;
  /** The upload has come to rest, on this server or nowhere. */
  readonly rests?: { readonly server: string | undefined };
}

/** An upload that has ended, and where its file is, if anywhere. */
export interface SettledUpload {
  readonly requestNumber: bigint;
  readonly server?: string;
}

/** An upload in dispatch's hands. Exactly one of `stored`, `requeue`, `release` and `reject` settles it. */
export interface Delivery {
  readonly requestNumber: bigint;
  readonly description: UploadDescription;
  readonly receivedAtMs: number;
  /** From when on the time allowed for it counts: its arrival, or when it was last revived. */
  readonly dueSinceMs: number;
  /** Who sent it, for logs. */
  readonly client: string;
  /** Whether all bytes have come. */
  readonly complete: boolean;
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
   * `undefined` when there is nothing to wait for.
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

/** What a read brings: a chunk, the end, or the news that the client left or the upload was cancelled. */
export type Content =
  | { readonly kind: "chunk"; readonly chunk: Chunk }
  | { readonly kind: "end"; readonly sizeBytes: number; readonly sha256?: Uint8Array | undefined }
  | { readonly kind: "broken"; readonly message: string };

/** Reads a file's bytes in order, following the client while they still arrive. */
export interface ContentReader {
  next(): Content | Promise<Content>;
  close(): void;
}

// ── What storage servers may ask for ────────────────────────────────────────────────────────────────────────────────

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

// ── Looking in from outside ─────────────────────────────────────────────────────────────────────────────────────────

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

/** The queue as the query and admin rpcs see it. */
export interface UploadDirectory {
  find(key: UploadKey): UploadView | undefined;
  /** Where an upload stands; `undefined` where it does not wait for its turn. */
  place(upload: UploadView): QueuePlace | undefined;
  /**
   * Drops an upload that is not stored yet.
   *
   * @throws BilanciaError `UNKNOWN_UPLOAD` or `NOT_CANCELLABLE`
   */
  cancel(key: UploadKey): void;
  counts(): QueueCounts;
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

/**
 * The pool as the admin rpcs see it. Changes resolve once they are durable and in force, with the server as it is then; where they cannot be made durable they
 * reject, and nothing has changed. `by` says who wants it, for log and audit.
 *
 * All but `add` throw BilanciaError `UNKNOWN_SERVER`; `add` and `setWeight` `INVALID_HEADER` for values that cannot be.
 */
export interface ServerKeeper {
  servers(): readonly ServerView[];
  /** @throws BilanciaError `SERVER_EXISTS` where another server has the name or the address */
  add(entry: ServerEntry, by: string): Promise<ServerView>;
  setWeight(name: string, weight: number, by: string): Promise<ServerView>;
  drain(name: string, by: string): Promise<ServerView>;
  enable(name: string, by: string): Promise<ServerView>;
  /** @throws BilanciaError `SERVER_IN_USE` where it is not drained, or may hold files of which that is not known, and `force` is not set */
  remove(name: string, force: boolean, by: string): Promise<ServerView>;
}

/** One server, with what was counted of it since the start. */
export interface ServerView {
  readonly backend: Readonly<Backend>;
  /** Its weight as it counts now: while it grows after a return, and as was learned. */
  readonly effectiveWeight: number;
  readonly full: boolean;
  readonly state: ServerState;
  /** Its last answer to `Load`. */
  readonly load: LoadResponse | undefined;
  readonly storedFiles: number;
  readonly storedBytes: number;
  readonly failedAttempts: number;
  /** Files that it may hold of which it is not known whether it does. */
  readonly unsettledFiles: number;
  /** Until when its lease holds, or held; absent where it has none. */
  readonly leaseUntilMs?: number | undefined;
}

/** The configuration that is in force, and what came of reading it anew. */
export interface ConfigState {
  /** `undefined` where there is none. */
  readonly file: string | undefined;
  /** When what is in force was read. */
  readonly loadedAtMs: number;
  /** What the file changes after a restart only, for people. */
  readonly needRestart: readonly string[];
  /** Why the file cannot be used as it is now; the configuration before is in force. */
  readonly refused: { readonly atMs: number; readonly problems: readonly string[] } | undefined;
}

/** Finds the addresses of a name. */
export interface Resolver {
  /** IPv4 and IPv6 addresses, in any order. Rejects when the name cannot be resolved. */
  resolve(host: string): Promise<readonly string[]>;
}

/** The choices that are remembered. */
export interface PickMemory {
  /** Those for one upload, oldest first. */
  find(requestNumber: bigint): readonly PickRecord[];
  /** How many are remembered, and since when without a gap: `undefined` while there are none. */
  readonly count: number;
  readonly sinceMs: number | undefined;
}

/** Which ledger numbers the uploads, and how often it has been started. */
export interface LedgerIdentity {
  readonly origin: string;
  readonly term: number;
}

// ── Being watched ───────────────────────────────────────────────────────────────────────────────────────────────────

/** Who wants to know. Called synchronously on the hot path: must be quick and must not throw. */
export interface Observer {
  note(occurrence: Occurrence): void;
}

/** Where it is taken down how files were placed. Called synchronously on the hot path: must be quick and must not throw. */
export interface PickLog {
  picked(pick: PickRecord): void;
  ended(end: PickEnd): void;
}
