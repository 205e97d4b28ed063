import { type Rejection, rejectReasons } from "../domain/errors.js";
import type { AttemptRecord, Receipt, UploadDescription, UploadState } from "../domain/upload.js";
import type { CopyMark } from "../ports/outbox.js";
import type { UploadView } from "../ports/upload-directory.js";
import { checkedBytes } from "./checked-bytes.js";
import { contentIn, sealed } from "./sealed-row.js";

/** Where the bytes of an upload are kept: nowhere that survives, in the ledger itself, or in the spool's file. */
export type BytesAt = "nowhere" | "ledger" | "file";

/** An attempt after which the server may hold the file. */
export interface Intent {
  readonly server: string;
  readonly attempt: number;
}

/** What the ledger keeps of one upload. Written anew as a whole with each change. */
export interface LedgerEntry {
  readonly requestNumber: bigint;
  readonly description: UploadDescription;
  readonly client: string;
  readonly receivedAtMs: number;
  readonly touchedAtMs: number;
  /** When it was last taken up again after it had been given up. */
  readonly revivedAtMs?: number | undefined;
  readonly state: "receiving" | "queued" | "stored" | "dead";
  readonly complete: boolean;
  readonly receivedBytes: number;
  /** SHA-256 that came with the end of the file. */
  readonly finishSha256?: Uint8Array | undefined;
  readonly bytesAt: BytesAt;
  /** Attempts whose answer is not known. */
  readonly intents: readonly Intent[];
  /** How its copy is known, where it came to rest while there were such attempts. Earlier versions do not say. */
  readonly mark?: CopyMark | undefined;
  readonly attemptCount: number;
  readonly failures: number;
  readonly attempts: readonly AttemptRecord[];
  readonly receipt?: Receipt | undefined;
  readonly rejection?: Rejection | undefined;
}

/** The state that an entry tells of. `complete`: whether all bytes are there, still. */
export function keptState(entry: LedgerEntry, complete: boolean): UploadState {
  if (entry.receipt) return { kind: "stored", receipt: entry.receipt };
  if (entry.rejection) return { kind: "dead", rejection: entry.rejection };
  return { kind: complete ? "queued" : "receiving" };
}

/** @param attemptCount of an upload that has come to rest in this term, with its last attempt if it is stored */
export function markOf(term: number, attemptCount: number, isStored: boolean): CopyMark {
  return { lastOther: { term, attempt: isStored ? Math.max(0, attemptCount - 1) : attemptCount } };
}

/** Whether nothing more will happen to an upload by itself. */
export function hasEnded({ state }: LedgerEntry): boolean {
  return state === "stored" || state === "dead";
}

/** Whether an upload was given up although the queue still has all of it: it can be tried again. */
export function isDeadLetter(entry: LedgerEntry): boolean {
  return (
    entry.state === "dead" && entry.complete && entry.bytesAt !== "nowhere" && entry.rejection?.reason !== "CANCELLED"
  );
}

/** Whether an upload ended in a way that lets its client send it again, and nothing is left to go on with: it begins anew then. */
export function isForgotten(entry: LedgerEntry): boolean {
  const { state, rejection } = entry;
  return (
    state === "dead" && rejection !== undefined && rejectReasons[rejection.reason].retryable && !isDeadLetter(entry)
  );
}

/** An entry as others see the upload. */
export function viewOf(entry: LedgerEntry): UploadView {
  const { description, requestNumber, receivedBytes: persistedBytes, complete, attempts, receivedAtMs } = entry;
  return {
    description,
    requestNumber,
    state: keptState(entry, complete),
    persistedBytes,
    complete,
    attempts,
    receivedAtMs,
  };
}

/** The largest number that a key can hold. */
export const maxNumber = 2n ** 64n - 1n;

/** Thrown for an entry whose bytes are not what was written. */
export class DamagedEntry extends Error {}

/** An entry as the ledger's bytes: JSON, sealed. @param key under which they are put */
export function encodeEntry(entry: LedgerEntry, key: Buffer): Buffer {
  return sealed(key, JSON.stringify(inJson(entry))).value;
}

/** A number or bytes, which JSON has no notation for. */
interface Tagged {
  readonly $bigint?: string;
  readonly $bytes?: string;
}

/** An entry as it stands in JSON. What is tagged is known by its place: a label may have any name, that of a tag too. */
type EntryInJson = Omit<LedgerEntry, "requestNumber" | "description" | "finishSha256" | "receipt"> & {
  readonly requestNumber: Tagged;
  readonly description: Omit<UploadDescription, "sha256"> & { readonly sha256?: Tagged | undefined };
  readonly finishSha256?: Tagged | undefined;
  readonly receipt?:
    | (Omit<Receipt, "requestNumber" | "sha256"> & { readonly requestNumber: Tagged; readonly sha256: Tagged })
    | undefined;
};

/** A replacer would be called for each value of each entry. */
function inJson(entry: LedgerEntry): EntryInJson {
  const { requestNumber, description, finishSha256, receipt } = entry;
  return {
    ...entry,
    requestNumber: taggedNumber(requestNumber),
    description: { ...description, sha256: description.sha256 && taggedBytes(description.sha256) },
    finishSha256: finishSha256 && taggedBytes(finishSha256),
    receipt: receipt && {
      ...receipt,
      requestNumber: taggedNumber(receipt.requestNumber),
      sha256: taggedBytes(receipt.sha256),
    },
  };
}

function taggedNumber(number: bigint): Tagged {
  return { $bigint: String(number) };
}

function taggedBytes(bytes: Uint8Array): Tagged {
  return { $bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64") };
}

/** @param key under which they were found @throws DamagedEntry where they are not what was put there */
export function decodeEntry(value: Buffer, key: Buffer): LedgerEntry {
  const body = contentIn({ key, value }) ?? checkedBytes(value);
  if (!body || body.length === 0) throw new DamagedEntry("the checksum of a ledger entry does not match");
  const { requestNumber, description, finishSha256, receipt, ...entry } = JSON.parse(body.toString()) as EntryInJson;
  const number = numberIn(requestNumber);
  if (number !== key.readBigUInt64BE(0)) throw new DamagedEntry(`it says that it is of upload ${number}`);
  return {
    ...entry,
    requestNumber: number,
    description: { ...description, sha256: description.sha256 && bytesIn(description.sha256) },
    finishSha256: finishSha256 && bytesIn(finishSha256),
    receipt: receipt && {
      ...receipt,
      requestNumber: numberIn(receipt.requestNumber),
      sha256: bytesIn(receipt.sha256),
    },
  };
}

/** The number that an entry says it has, before anything of it is checked; `undefined` where it says none. */
export function numberWritten(value: Buffer): bigint | undefined {
  // In earlier versions the checksum came first.
  for (const text of [value.subarray(0, -4), value.subarray(4)])
    try {
      const { requestNumber } = JSON.parse(text.toString()) as EntryInJson;
      const number = numberIn(requestNumber);
      return number > 0n && number <= maxNumber ? number : undefined;
    } catch {
      // It is no JSON, or not that of an entry.
    }
  return undefined;
}

function numberIn({ $bigint }: Tagged): bigint {
  return BigInt($bigint ?? Number.NaN);
}

function bytesIn({ $bytes }: Tagged): Uint8Array {
  return Uint8Array.from(Buffer.from($bytes ?? "", "base64"));
}
