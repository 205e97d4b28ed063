import type { EntryCheck } from "@bilancia/proto/lmdb/lmdb-file";
import { crc32c } from "@node-rs/crc32";
import type { Priority } from "../domain/priority.js";
import { checkedBytes } from "./checked-bytes.js";
import type { OpenUpload } from "./ledger.js";
import { hasEnded, type LedgerEntry } from "./ledger-entry.js";
import { contentIn, isSealed, type Row, sealed } from "./sealed-row.js";

/** The names of the ledger's tables. */
export const ledgerTables = ["entries", "ids", "bytes", "open", "dead", "quarantine"] as const;

/** The tables whose rows are short, and lead to entries. */
type ShortTable = "ids" | "open" | "dead";

/** How long their rows were before they had a checksum. In `open` the mark of the client came later than the rest, and the priority later still. */
const lengthsWithoutChecksum: Readonly<Record<ShortTable, readonly number[]>> = {
  ids: [8],
  open: [9, 13, 14],
  dead: [1],
};

const stateCodes: readonly OpenUpload["state"][] = ["receiving", "queued", "intended", "suspected"];
const priorityCodes: readonly Priority[] = ["normal", "low", "high"];
/** State, bytes, and the mark of the client. Another byte follows where the priority is not the usual one. */
const openBytes = 1 + 8 + 4;

/** Whether a row is what was put there. A file's bytes are looked at when they are read. */
export const isWritten: EntryCheck = (table, row) => {
  switch (table) {
    case "entries":
      // Of earlier versions the checksum is over the entry alone.
      return isSealed(row) || checkedBytes(row.value) !== undefined;
    case "ids":
    case "open":
    case "dead":
      return isOfEarlierVersion(table, row) || isSealed(row);
    default:
      return true;
  }
};

/** The number of an upload, by its id. */
export function idRow(uploadId: string, number: Buffer): Row {
  return sealed(idKey(uploadId), number);
}

/** `undefined` where it is damaged. */
export function numberIn(row: Row): Buffer | undefined {
  return shortContentIn("ids", row);
}

/** An upload that needs looking after. */
export function openRow(entry: LedgerEntry): Row {
  const { priority } = entry.description;
  const content = Buffer.allocUnsafe(openBytes + (priority ? 1 : 0));
  content.writeUInt8(stateCodes.indexOf(openState(entry)), 0);
  content.writeDoubleBE(entry.receivedBytes, 1);
  content.writeUInt32BE(crc32c(entry.client), 9);
  if (priority) content.writeUInt8(priorityCodes.indexOf(priority), openBytes);
  return sealed(numberKey(entry.requestNumber), content);
}

/** Where the row is damaged, only the number is known, if it is that. */
export function openUploadIn(row: Row): OpenUpload {
  const requestNumber = row.key.readBigUInt64BE(0);
  const content = shortContentIn("open", row);
  const state = content && stateCodes[content.readUInt8(0)];
  if (!state) return { requestNumber, state: "unreadable", bytes: 0, clientMark: 0 };
  const clientMark = content.length >= openBytes ? content.readUInt32BE(9) : 0;
  const priority = content.length > openBytes ? priorityCodes[content.readUInt8(openBytes)] : undefined;
  return { requestNumber, state, bytes: content.readDoubleBE(1), clientMark, priority };
}

/** A dead letter. */
export function deadRow(number: Buffer): Row {
  return sealed(number, Buffer.from([1]));
}

export function numberKey(requestNumber: bigint): Buffer {
  const key = Buffer.allocUnsafe(8);
  key.writeBigUInt64BE(requestNumber);
  return key;
}

export function idKey(uploadId: string): Buffer {
  return Buffer.from(uploadId.replaceAll("-", ""), "hex");
}

function shortContentIn(table: ShortTable, row: Row): Buffer | undefined {
  return isOfEarlierVersion(table, row) ? row.value : contentIn(row);
}

function isOfEarlierVersion(table: ShortTable, { value }: Row): boolean {
  return lengthsWithoutChecksum[table].includes(value.length);
}

function openState(entry: LedgerEntry): OpenUpload["state"] {
  if (hasEnded(entry)) return "suspected";
  if (entry.intents.length > 0) return "intended";
  return entry.state === "receiving" ? "receiving" : "queued";
}
