import type { Priority } from "../domain/priority.js";
import type { UploadKey } from "../ports/upload-directory.js";
import type { LedgerEntry } from "./ledger-entry.js";

/**
 * An upload that needs looking after, as the ledger lists it at the start. `intended`: it was with a server; `suspected`: it is final, but a server
 * may hold an extra copy; `unreadable`: what it is listed with is damaged, and its entry tells. `bytes` counts against the queue's limits.
 */
export interface OpenUpload {
  readonly requestNumber: bigint;
  readonly state: "receiving" | "queued" | "intended" | "suspected" | "unreadable";
  readonly bytes: number;
  /** Tells the uploads of one client from those of others, well enough to share out turns. */
  readonly clientMark: number;
  /** Absent where nothing was said: normal. */
  readonly priority?: Priority | undefined;
}

/**
 * The durable record of every upload's state. The queue decides and calls; the ledger keeps, and gives back after a restart.
 */
export interface Ledger {
  /**
   * Keeps an entry, in place of the one it had, and its bytes where they are given. What is put in one turn of the event loop becomes durable together.
   *
   * @param hadBytes whether bytes may be kept with it that the entry does not speak of any more. Default: true
   * @returns a promise of its being on disk, or `undefined` where nothing is kept
   */
  put(entry: LedgerEntry, bytes?: Uint8Array, hadBytes?: boolean): Promise<void> | undefined;
  /**
   * Keeps a known entry anew. Its bytes stay as they are, and so does what its upload id names, which may be a later upload by now.
   *
   * @param lazy whether nobody waits for it: it may be written some milliseconds later, together with others. Default: false
   */
  amend(entry: LedgerEntry, lazy?: boolean): Promise<void> | undefined;
  /** The highest number that it knows; 0 where there is none. */
  readonly lastNumber: bigint;
  find(key: UploadKey): LedgerEntry | undefined;
  /** The bytes that were put with an entry, if they are still kept. */
  bytes(requestNumber: bigint): Uint8Array | undefined;
  /** The upload id may name another upload from now on; the number still finds this one. */
  freeId(uploadId: string): void;
  /** Everything that needs looking after, oldest first, in pages. */
  open(): AsyncIterable<readonly OpenUpload[]>;
  /** The same, beyond a number, as far as the caller goes on. It must not wait in between. */
  openAfter(after: bigint): Iterable<OpenUpload>;
  /** Dead letters with numbers beyond `after`, in order; fewer than `limit` only where no more follow. */
  deadLetters(after: bigint, limit: number): readonly LedgerEntry[];
  /**
   * Takes an upload off that list whose entry cannot be read any more.
   *
   * @returns the bytes it was listed with; `undefined` where it was not listed
   */
  strike(requestNumber: bigint): number | undefined;
  /**
   * Forgets final entries that were last touched before a time; at most some thousands in one call.
   *
   * @param nowMs tells entries of a clock that was ahead from those that are merely young
   */
  prune(beforeMs: number, nowMs: number): void;
}

/** The ledger that keeps nothing: for `queue: memory`. */
export const memoryLedger: Ledger = {
  put: () => undefined,
  amend: () => undefined,
  lastNumber: 0n,
  find: () => undefined,
  bytes: () => undefined,
  freeId: () => undefined,
  async *open() {},
  openAfter: () => [],
  deadLetters: () => [],
  strike: () => undefined,
  prune: () => undefined,
};
