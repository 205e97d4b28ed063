import { crc32c } from "@node-rs/crc32";
import type { Priority } from "../domain/priority.js";
import { checkedBytes } from "./checked-bytes.js";
import type { OpenUpload } from "./ledger.js";
import { hasEnded, type LedgerEntry } from "./ledger-entry.js";
import { isSealed, type Row } from "./sealed-row.js";

/** The names of the ledger's tables. */
export const ledgerTables = ["entries", "ids", "bytes", "open", "dead", "quarantine"] as const;

/** The tables whose rows are short, and lead to entries. */
type ShortTable = "ids" | "open" | "dead";

/** How long the content alone is, as earlier versions wrote it. In `open` the mark of the client came later than the rest, and the priority later still. */
const contentLengths: Readonly<Record<ShortTable, readonly number[]>> = {
  ids: [8],
  open: [9, 13, 14],
  dead: [1],
};

const stateCodes: readonly OpenUpload["state"][] = ["receiving", "queued", "intended", "suspected"];
const priorityCodes: readonly Priority[] = ["normal", "low", "high"];
/** State, bytes, and the mark of the client. Another byte follows where the priority is not the usual one. */
const openBytes = 1 + 8 + 4;

/** Whether a row is what was put there. A file's bytes are looked at when they are read. */
export function isWritten(table: string, row: Row): boolean {
  switch (table) {
    case "entries":
      return isSealed(row) || isEntryOfEarlierVersion(row);
    case "ids":
    case "open":
    case "dead":
      return contentBytes(table, row) > 0;
    default:
      return true;
  }
}

/** Its checksum is over the entry alone; but that says its number. */
function isEntryOfEarlierVersion({ key, value }: Row): boolean {
  const number = `"requestNumber":{"$bigint":"${key.readBigUInt64BE(0)}"}`;
  return checkedBytes(value) !== undefined && value.includes(number);
}

/** The number of an upload, by its id. */
export function idRow(uploadId: string, number: Buffer): Row {
  return doubled(idKey(uploadId), number);
}

/** `undefined` where it is damaged. */
export function numberIn(row: Row): Buffer | undefined {
  const bytes = contentBytes("ids", row);
  return bytes > 0 ? row.value.subarray(0, bytes) : undefined;
}

/** An upload that needs looking after. */
export function openRow(entry: LedgerEntry): Row {
  const { priority } = entry.description;
  const content = Buffer.allocUnsafe(openBytes + (priority ? 1 : 0));
  content.writeUInt8(stateCodes.indexOf(openState(entry)), 0);
  content.writeDoubleBE(entry.receivedBytes, 1);
  content.writeUInt32BE(crc32c(entry.client), 9);
  if (priority) content.writeUInt8(priorityCodes.indexOf(priority), openBytes);
  return doubled(numberKey(entry.requestNumber), content);
}

/** Where the row is damaged, only the number is known, if it is that. */
export function openUploadIn(row: Row): OpenUpload {
  const requestNumber = row.key.readBigUInt64BE(0);
  const bytes = contentBytes("open", row);
  const { value } = row;
  const state = bytes > 0 ? stateCodes[value.readUInt8(0)] : undefined;
  if (!state) return { requestNumber, state: "unreadable", bytes: 0, clientMark: 0 };
  const clientMark = bytes >= openBytes ? value.readUInt32BE(9) : 0;
  const priority = bytes > openBytes ? priorityCodes[value.readUInt8(openBytes)] : undefined;
  return { requestNumber, state, bytes: value.readDoubleBE(1), clientMark, priority };
}

/** A dead letter. */
export function deadRow(number: Buffer): Row {
  return doubled(number, Buffer.from([1]));
}

export function numberKey(requestNumber: bigint): Buffer {
  const key = Buffer.allocUnsafe(8);
  key.writeBigUInt64BE(requestNumber);
  return key;
}

export function idKey(uploadId: string): Buffer {
  return Buffer.from(uploadId.replaceAll("-", ""), "hex");
}

/** A short row says its content twice, and then its key: that is compared faster than a checksum is called for, and a start looks at all of them. */
function doubled(key: Buffer, content: Buffer): Row {
  return { key, value: Buffer.concat([content, content, key]) };
}

function doubledBytes({ key, value }: Row): number {
  return (value.length - key.length) / 2;
}

function isDoubled(row: Row): boolean {
  const { key, value } = row;
  const bytes = doubledBytes(row);
  if (bytes <= 0 || !Number.isInteger(bytes)) return false;
  for (let at = 0; at < bytes; at++) if (value[at] !== value[bytes + at]) return false;
  for (let at = 0; at < key.length; at++) if (key[at] !== value[2 * bytes + at]) return false;
  return true;
}

/** How much of a short row is its content; 0 where it is damaged. A start asks for each of them: no view is made of what it says. */
function contentBytes(table: ShortTable, row: Row): number {
  if (isOfEarlierVersion(table, row)) return row.value.length;
  return isDoubled(row) ? doubledBytes(row) : 0;
}

function isOfEarlierVersion(table: ShortTable, { value }: Row): boolean {
  return contentLengths[table].includes(value.length);
}

function openState(entry: LedgerEntry): OpenUpload["state"] {
  if (hasEnded(entry)) return "suspected";
  if (entry.intents.length > 0) return "intended";
  return entry.state === "receiving" ? "receiving" : "queued";
}
