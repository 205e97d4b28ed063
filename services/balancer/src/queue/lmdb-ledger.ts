import { crc32c } from "@node-rs/crc32";
import { type Database, open, type RootDatabase } from "lmdb";
import type { UploadKey } from "../ports.js";
import type { Ledger, OpenUpload } from "./ledger.js";
import { decodeEntry, encodeEntry, isDeadLetter, type LedgerEntry } from "./ledger-entry.js";
import { LedgerRoom } from "./ledger-room.js";

/** Told of an entry that cannot be read. Its bytes are kept aside, and the upload is treated as unknown. */
export type OnDamage = (requestNumber: bigint, problem: string) => void;

const stateCodes: readonly OpenUpload["state"][] = ["receiving", "queued", "intended", "suspected"];
/** Entries looked at by one call of `prune`. */
const pruneBatch = 5_000;
/** The largest number that a key can hold. */
const lastNumber = 2n ** 64n - 1n;
/** The value of a table whose keys say all. */
const checksumBytes = 4;
const firstKey = numberKey(0n);
const present = Buffer.from([1]);

/**
 * The ledger in LMDB: one table of entries by request number, one that finds the number of an upload id, one of the small files' bytes, and two
 * short ones: of what is not final, so that a start need not read everything, and of the dead letters. Writes of one turn of the event loop are one transaction, off the event loop,
 * and resolve after the flush.
 */
export class LmdbLedger implements Ledger {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #entries: Database<Buffer, Buffer>;
  readonly #ids: Database<Buffer, Buffer>;
  readonly #bytes: Database<Buffer, Buffer>;
  readonly #open: Database<Buffer, Buffer>;
  readonly #dead: Database<Buffer, Buffer>;
  readonly #quarantine: Database<Buffer, Buffer>;
  readonly #room: LedgerRoom;
  readonly #onDamage: OnDamage;
  #closed = false;
  /** Where the next call of `prune` goes on. */
  #pruneFrom: Buffer = firstKey;

  constructor(dir: string, onDamage: OnDamage) {
    this.#onDamage = onDamage;
    this.#root = open({
      path: dir,
      // With it a write would resolve before it is flushed.
      overlappingSync: false,
      // It makes a promise of its own for each transaction that nobody can catch: a full disk would end the process. `#write` batches instead.
      eventTurnBatching: false,
      encoding: "binary",
      keyEncoding: "binary",
      maxDbs: 8,
    });
    const table = (name: string) =>
      this.#root.openDB<Buffer, Buffer>({ name, encoding: "binary", keyEncoding: "binary" });
    this.#room = new LedgerRoom(this.#root, dir);
    this.#entries = table("entries");
    this.#ids = table("ids");
    this.#bytes = table("bytes");
    this.#open = table("open");
    this.#dead = table("dead");
    this.#quarantine = table("quarantine");
  }

  put(entry: LedgerEntry, bytes?: Uint8Array): Promise<void> {
    const key = numberKey(entry.requestNumber);
    return this.#write(
      () => {
        const writes: Promise<unknown>[] = [this.#ids.put(idKey(entry.description.uploadId), key)];
        if (bytes) writes.push(this.#bytes.put(key, withChecksum(bytes)));
        else if (entry.bytesAt !== "ledger") writes.push(this.#bytes.remove(key));
        return [...writes, ...this.#putEntry(key, entry)];
      },
      bytes?.length,
      isFinal(entry),
    );
  }

  amend(entry: LedgerEntry): Promise<void> {
    return this.#write(() => this.#putEntry(numberKey(entry.requestNumber), entry));
  }

  find(key: UploadKey): LedgerEntry | undefined {
    const number = "uploadId" in key ? this.#ids.get(idKey(key.uploadId)) : numberKey(key.requestNumber);
    return number && this.#read(number);
  }

  bytes(requestNumber: bigint): Uint8Array | undefined {
    const key = numberKey(requestNumber);
    const value = this.#bytes.get(key);
    if (!value) return undefined;
    const bytes = value.subarray(checksumBytes);
    if (value.length >= checksumBytes && crc32c(bytes) === value.readUInt32LE(0)) return bytes;
    // A copy is kept aside: the client may send the file again under this number.
    this.#write(() => [this.#quarantine.put(Buffer.concat([key, Buffer.from("bytes")]), value)]).catch(() => undefined);
    this.#onDamage(requestNumber, "the checksum of a small file's bytes does not match");
    return undefined;
  }

  freeId(uploadId: string): void {
    // Not awaited: should a crash undo it, the id still names the old upload, which tells its client to retry.
    this.#write(() => [this.#ids.remove(idKey(uploadId))]).catch(() => undefined);
  }

  *open(): Iterable<OpenUpload> {
    for (const { key, value } of this.#open.getRange()) {
      const state = stateCodes[value.readUInt8(0)];
      if (state) yield { requestNumber: key.readBigUInt64BE(0), state, bytes: value.readDoubleBE(1) };
    }
  }

  deadLetters(after: bigint, limit: number): readonly LedgerEntry[] {
    const found: LedgerEntry[] = [];
    if (after >= lastNumber) return found;
    for (const { key } of this.#dead.getRange({ start: numberKey(after + 1n) })) {
      if (found.length === limit) break;
      const entry = this.#read(key);
      if (entry) found.push(entry);
    }
    return found;
  }

  strike(requestNumber: bigint): number | undefined {
    const key = numberKey(requestNumber);
    const listed = this.#open.get(key);
    if (!listed) return undefined;
    this.#write(() => [this.#open.remove(key)]).catch(() => undefined);
    return listed.readDoubleBE(1);
  }

  prune(beforeMs: number): void {
    const due: LedgerEntry[] = [];
    let last: Buffer | undefined;
    for (const { key } of this.#entries.getRange({ start: this.#pruneFrom, limit: pruneBatch })) {
      const entry = this.#read(key);
      if (!entry) continue;
      // Numbers are given in the order of time: nothing behind this one is old enough.
      if (entry.receivedAtMs >= beforeMs) {
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
      this.#write(() => {
        const removals = [this.#entries.remove(key), this.#bytes.remove(key)];
        const named = this.#ids.get(idKey(description.uploadId));
        if (named?.equals(key)) removals.push(this.#ids.remove(idKey(description.uploadId)));
        return removals;
        // What a crash leaves is found again by the next call.
      }).catch(() => undefined);
    }
  }

  /** Waits for what has been put, and takes nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#root.flushed;
    await this.#root.close();
  }

  #putEntry(key: Buffer, entry: LedgerEntry): Promise<unknown>[] {
    // What is final stays listed while a server may hold an extra copy of it.
    const listed = isSettled(entry) ? this.#open.remove(key) : this.#open.put(key, openValue(entry));
    const writes = [this.#entries.put(key, encodeEntry(entry)), listed];
    if (isDeadLetter(entry)) writes.push(this.#dead.put(key, present));
    // Only these can have been a dead letter before: the others are spared the write.
    else if (entry.state === "dead" || entry.revivedAtMs !== undefined) writes.push(this.#dead.remove(key));
    return writes;
  }

  /** Makes writes that become durable together, or not at all. */
  async #write(writes: () => Promise<unknown>[], bytes = 0, outcome = true): Promise<void> {
    if (this.#closed) throw new Error("the ledger is closed");
    const taken = this.#room.take(bytes, outcome);
    const made: Promise<unknown>[] = [];
    const batch = this.#root.batch(() => {
      made.push(...writes());
    });
    try {
      await Promise.all([batch, ...made]);
    } catch (error) {
      // Its cause is a promise that rejects by itself.
      await (error as { commitError?: Promise<unknown> }).commitError?.catch(() => undefined);
      throw error;
    } finally {
      taken();
    }
  }

  #read(key: Buffer): LedgerEntry | undefined {
    const value = this.#entries.get(key);
    if (!value) return undefined;
    try {
      return decodeEntry(value);
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      // Kept aside whole, and out of the way: nothing is deleted, and it is reported once. Whoever works through the open ones strikes it off.
      this.#write(() => [this.#quarantine.put(key, value), this.#entries.remove(key), this.#dead.remove(key)]).catch(
        () => undefined,
      );
      this.#onDamage(key.readBigUInt64BE(0), problem);
      return undefined;
    }
  }
}

function isFinal({ state }: LedgerEntry): boolean {
  return state === "stored" || state === "dead";
}

function isSettled(entry: LedgerEntry): boolean {
  return isFinal(entry) && entry.intents.length === 0;
}

function openState(entry: LedgerEntry): OpenUpload["state"] {
  if (isFinal(entry)) return "suspected";
  if (entry.intents.length > 0) return "intended";
  return entry.state === "receiving" ? "receiving" : "queued";
}

function openValue(entry: LedgerEntry): Buffer {
  const state = openState(entry);
  const value = Buffer.alloc(9);
  value.writeUInt8(stateCodes.indexOf(state), 0);
  value.writeDoubleBE(entry.receivedBytes, 1);
  return value;
}

function numberKey(requestNumber: bigint): Buffer {
  const key = Buffer.allocUnsafe(8);
  key.writeBigUInt64BE(requestNumber);
  return key;
}

function idKey(uploadId: string): Buffer {
  return Buffer.from(uploadId.replaceAll("-", ""), "hex");
}

/** CRC-32C, then the bytes. LMDB has no checksums of its own. */
function withChecksum(bytes: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(checksumBytes + bytes.length);
  value.writeUInt32LE(crc32c(bytes), 0);
  value.set(bytes, checksumBytes);
  return value;
}
