import type { UploadKey } from "../ports/upload-directory.js";
import { checkedBytes, withChecksum } from "./checked-bytes.js";
import type { FlushFailed } from "./flush-failed.js";
import type { Ledger, OpenUpload } from "./ledger.js";
import { decodeEntry, encodeEntry, hasEnded, isDeadLetter, type LedgerEntry, maxNumber } from "./ledger-entry.js";
import {
  deadRow,
  idKey,
  idRow,
  isWritten,
  ledgerTables,
  numberIn,
  numberKey,
  openRow,
  openUploadIn,
} from "./ledger-rows.js";
import { LmdbEnvironment, type Table } from "./lmdb-environment.js";
import type { Row } from "./sealed-row.js";

/** Told of an entry that cannot be read. Its bytes are kept aside, and the upload is treated as unknown. Of which number it is, is not known where only its id leads to it. */
export type OnDamage = (requestNumber: bigint | undefined, problem: string) => void;

/** Uploads in one page of `open`. */
const openPage = 20_000;
/** Entries looked at by one call of `prune`. */
const pruneBatch = 5_000;
const firstKey = numberKey(0n);

/**
 * The ledger in LMDB: one table of entries by request number, one that finds the number of an upload id, one of the small files' bytes, and two
 * short ones: of what is not final, so that a start need not read everything, and of the dead letters. Writes of one turn of the event loop are one transaction, off the event loop,
 * and resolve after the flush.
 */
export class LmdbLedger implements Ledger {
  readonly #env: LmdbEnvironment<(typeof ledgerTables)[number]>;
  readonly #onDamage: OnDamage;
  /** What has been reported. */
  readonly #damaged = new Set<bigint>();
  /** Where the next call of `prune` goes on. */
  #pruneFrom: Buffer = firstKey;

  /** @param onBroken told once, when a write has failed for another reason than a full disk: the ledger keeps nothing more then */
  constructor(dir: string, onDamage: OnDamage, onBroken: (error: FlushFailed) => void = () => {}) {
    this.#onDamage = (requestNumber, problem) => {
      if (requestNumber !== undefined) this.#damaged.add(requestNumber);
      onDamage(requestNumber, problem);
    };
    this.#env = new LmdbEnvironment(dir, ledgerTables, { onBroken });
  }

  put(entry: LedgerEntry, bytes?: Uint8Array, hadBytes = true): Promise<void> {
    const key = numberKey(entry.requestNumber);
    const putEntry = this.#putEntry(key, entry);
    return this.#env.write(
      () => {
        const writes = putEntry();
        writes.push(putRow(this.#env.table("ids"), idRow(entry.description.uploadId, key)));
        if (bytes) writes.push(this.#env.table("bytes").put(key, withChecksum(bytes)));
        else if (hadBytes && entry.bytesAt !== "ledger") writes.push(this.#env.table("bytes").remove(key));
        return writes;
      },
      { bytes: bytes?.length, outcome: hasEnded(entry) },
    );
  }

  amend(entry: LedgerEntry, lazy = false): Promise<void> {
    return this.#env.write(this.#putEntry(numberKey(entry.requestNumber), entry), { lazy });
  }

  get lastNumber(): bigint {
    for (const row of this.#env.table("entries").getRange({ reverse: true }))
      if (isWritten("entries", row)) return row.key.readBigUInt64BE(0);
    return 0n;
  }

  find(key: UploadKey): LedgerEntry | undefined {
    const number = "uploadId" in key ? this.#numberOf(key.uploadId) : numberKey(key.requestNumber);
    return number && this.#read(number);
  }

  bytes(requestNumber: bigint): Uint8Array | undefined {
    const key = numberKey(requestNumber);
    const value = this.#env.table("bytes").get(key);
    if (!value) return undefined;
    const bytes = checkedBytes(value);
    if (bytes) return bytes;
    // A copy is kept aside: the client may send the file again under this number.
    this.#env
      .write(() => [this.#env.table("quarantine").put(Buffer.concat([key, Buffer.from("bytes")]), value)])
      .catch(() => undefined);
    this.#onDamage(requestNumber, "the checksum of a small file's bytes does not match");
    return undefined;
  }

  freeId(uploadId: string): void {
    // Not awaited: should a crash undo it, the id still names the old upload, which tells its client to retry.
    this.#env.write(() => [this.#env.table("ids").remove(idKey(uploadId))]).catch(() => undefined);
  }

  async *open(): AsyncGenerator<readonly OpenUpload[]> {
    let from = firstKey;
    for (;;) {
      const page: OpenUpload[] = [];
      for (const row of this.#env.table("open").getRange({ start: from, limit: openPage })) {
        from = numberKey(row.key.readBigUInt64BE(0) + 1n);
        page.push(openUploadIn(row));
      }
      if (page.length === 0) return;
      yield page;
      await this.#env.relax();
    }
  }

  *openAfter(after: bigint): Iterable<OpenUpload> {
    if (after >= maxNumber) return;
    for (const row of this.#env.table("open").getRange({ start: numberKey(after + 1n) })) yield openUploadIn(row);
  }

  deadLetters(after: bigint, limit: number): readonly LedgerEntry[] {
    const found: LedgerEntry[] = [];
    if (after >= maxNumber) return found;
    for (const { key } of this.#env.table("dead").getRange({ start: numberKey(after + 1n) })) {
      if (found.length === limit) break;
      const entry = this.#read(key);
      if (entry) found.push(entry);
    }
    return found;
  }

  strike(requestNumber: bigint): number | undefined {
    const key = numberKey(requestNumber);
    const value = this.#env.table("open").get(key);
    if (!value) return undefined;
    const { state, bytes } = openUploadIn({ key, value });
    if (!this.#damaged.has(requestNumber)) {
      this.#onDamage(requestNumber, "it is listed as not finished, and has no entry");
    }
    // By a row that is damaged itself a start may still find which upload it was.
    if (state !== "unreadable") this.#env.write(() => [this.#env.table("open").remove(key)]).catch(() => undefined);
    return bytes;
  }

  prune(beforeMs: number, nowMs: number): void {
    const due: LedgerEntry[] = [];
    let last: Buffer | undefined;
    for (const { key } of this.#env.table("entries").getRange({ start: this.#pruneFrom, limit: pruneBatch })) {
      const entry = this.#read(key);
      if (!entry) continue;
      // Numbers are given in the order of time: nothing behind this one is old enough, unless the clock was ahead when it came.
      if (entry.receivedAtMs >= beforeMs && entry.receivedAtMs <= nowMs) {
        last = undefined;
        break;
      }
      last = key;
      if (entry.touchedAtMs < beforeMs && isSettled(entry) && !isDeadLetter(entry)) due.push(entry);
    }
    // What must stay at the front does not keep the next call from what is behind it.
    this.#pruneFrom = last ?? firstKey;
    for (const { requestNumber, description } of due) {
      const key = numberKey(requestNumber);
      this.#env
        .write(() => {
          const removals = [this.#env.table("entries").remove(key), this.#env.table("bytes").remove(key)];
          if (this.#numberOf(description.uploadId)?.equals(key))
            removals.push(this.#env.table("ids").remove(idKey(description.uploadId)));
          return removals;
          // What a crash leaves is found again by the next call.
        })
        .catch(() => undefined);
    }
  }

  /** Waits for what has been put, and takes nothing more. */
  close(): Promise<void> {
    return this.#env.close();
  }

  /** The writes are made later, of the entry as it is now. */
  #putEntry(key: Buffer, entry: LedgerEntry): () => Promise<unknown>[] {
    const value = encodeEntry(entry, key);
    // What is final stays listed while a server may hold an extra copy of it.
    const listed = isSettled(entry) ? undefined : openRow(entry);
    return () => {
      const open = this.#env.table("open");
      const writes: Promise<unknown>[] = [
        this.#env.table("entries").put(key, value),
        listed ? putRow(open, listed) : open.remove(key),
      ];
      if (isDeadLetter(entry)) writes.push(putRow(this.#env.table("dead"), deadRow(key)));
      // Only these can have been a dead letter before: the others are spared the write.
      else if (entry.state === "dead" || entry.revivedAtMs !== undefined)
        writes.push(this.#env.table("dead").remove(key));
      return writes;
    };
  }

  #numberOf(uploadId: string): Buffer | undefined {
    const key = idKey(uploadId);
    const value = this.#env.table("ids").get(key);
    const number = value && numberIn({ key, value });
    if (value && !number) this.#onDamage(undefined, `the number of upload ${uploadId} cannot be read`);
    return number;
  }

  #read(key: Buffer): LedgerEntry | undefined {
    const value = this.#env.table("entries").get(key);
    if (!value) return undefined;
    try {
      return decodeEntry(value, key);
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      // Kept aside whole, and out of the way: nothing is deleted, and it is reported once. Whoever works through the open ones strikes it off.
      this.#env
        .write(() => [
          this.#env.table("quarantine").put(key, value),
          this.#env.table("entries").remove(key),
          this.#env.table("dead").remove(key),
        ])
        .catch(() => undefined);
      this.#onDamage(key.readBigUInt64BE(0), problem);
      return undefined;
    }
  }
}

function isSettled(entry: LedgerEntry): boolean {
  return hasEnded(entry) && entry.intents.length === 0;
}

function putRow(table: Table, { key, value }: Row): Promise<unknown> {
  return table.put(key, value);
}
