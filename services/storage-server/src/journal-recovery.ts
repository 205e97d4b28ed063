import { createHash } from "node:crypto";
import { join } from "node:path";
import type { FileRoom } from "@bilancia/proto/lmdb/file-room";
import { errorCode, isFull } from "@bilancia/proto/system-error";
import type { Logger } from "pino";
import { maxJournalledFileBytes } from "./directory-store.js";
import type { Disk } from "./disk.js";
import { type FileId, fileKey } from "./file-id.js";
import { type FileIndex, recordsOfFileBytes, type StoredRecord } from "./file-index.js";
import type { FileJournal, JournalledFile } from "./file-journal.js";
import { storedNames } from "./stored-names.js";

/** What `recoverJournal` works with. */
export interface RecoveryOptions {
  readonly dir: string;
  readonly tempDir: string;
  readonly disk: Disk;
  readonly index: FileIndex;
  readonly journal: FileJournal;
  /** Of the LMDB environment of index and journal. */
  readonly room: FileRoom;
  readonly log: Logger;
}

/** What became of a journalled file; `path` is where it lies. */
type Outcome =
  | { readonly kind: "whole" | "restored"; readonly path: string }
  /** It has no record: it was never acknowledged, or has been discarded, and maybe a large file was sent under its number since. */
  | { readonly kind: "obsolete" }
  /** The bytes in the journal are not those of its record, and neither are those that lie under its name. */
  | { readonly kind: "lost" }
  /** It could not be made anew, so its pack stays for the next start. */
  | { readonly kind: "kept" };

/** How many files are looked at together, so that their records share a flush. */
const groupCount = 64;

/**
 * Makes good what a crash took from a directory: every file in the journal that is missing there or torn is made anew, and then the journal
 * is trimmed. Another's file is never overwritten. A damaged file of the journal is reported and left out; one whose names are all taken, or
 * for which there is no room, is reported, and its pack stays for the next start.
 *
 * @throws the error of the disk when a file could not be made anew for another reason, or a flush failed; the journal is as it was then
 */
export async function recoverJournal(options: RecoveryOptions): Promise<void> {
  const { dir, disk, index, journal, room, log } = options;
  const sequences = journal.sequences();
  if (sequences.length === 0) return;
  const outcomes = new Map<string, Outcome & { readonly id: FileId }>();
  const kept = new Set<bigint>();
  // A file that a start could not make anew may have been sent again since. The latest that is whole counts, so the latest pack comes first.
  for (const sequence of sequences.reverse()) {
    const files = journal.read(sequence);
    if (files.length === 0) log.error({ sequence }, "journal entry is damaged");
    for (let at = 0; at < files.length; at += groupCount) {
      const recovering = files.slice(at, at + groupCount).map(async (file) => {
        const key = fileKey(file.id);
        const before = outcomes.get(key)?.kind ?? "lost";
        if (!file.bytes) log.error({ ...file.id, sequence }, "journal entry is damaged");
        const outcome = before === "lost" ? await recoverIfRoom(options, file, sequence) : undefined;
        if (outcome) outcomes.set(key, { ...outcome, id: file.id });
        if ((outcome?.kind ?? before) === "kept") kept.add(sequence);
      });
      await Promise.all(recovering);
    }
  }
  for (const { kind, id } of outcomes.values()) {
    if (kind !== "lost") continue;
    // It is not what was acknowledged, so it is not served; whatever lies there is left to people to look at.
    log.error(id, "stored file is lost");
    const written = room.take(0, true);
    await index.remove(id).finally(written);
  }
  const found = [...outcomes.values()];
  await disk.syncFiles(
    dir,
    found.flatMap((outcome) => ("path" in outcome ? [outcome.path] : [])),
  );
  try {
    await journal.remove(sequences.filter((sequence) => !kept.has(sequence)));
  } catch (error) {
    // Where there is no room to remove them they stay, which does no harm, and go another time.
    if (!isFull(error)) throw error;
  }
  const count = (kind: Outcome["kind"]) => found.filter((outcome) => outcome.kind === kind).length;
  const counts = { restored: count("restored"), lost: count("lost"), kept: count("kept") };
  log.info({ journalled: found.length, ...counts }, "recovered files");
}

async function recoverIfRoom(options: RecoveryOptions, file: JournalledFile, sequence: bigint): Promise<Outcome> {
  try {
    return await recoverFile(options, file, sequence);
  } catch (error) {
    if (!isFull(error)) throw error;
    const message = "stored file cannot be restored: the disk is full; it is tried again at the next start";
    options.log.error({ ...file.id, sequence }, message);
    return { kind: "kept" };
  }
}

async function recoverFile(
  options: RecoveryOptions,
  { id, bytes }: JournalledFile,
  sequence: bigint,
): Promise<Outcome> {
  const { dir, index, disk, room } = options;
  const record = index.get(id);
  if (record?.state !== "stored" || record.sizeBytes > maxJournalledFileBytes) return { kind: "obsolete" };
  const path = join(dir, record.storedName);
  const mark = await disk.mark(path);
  // With another time of writing it is another's, even if it has the same bytes: the process died between record and name.
  const isOurs = mark?.modifiedNs === record.modifiedNs && mark.sizeBytes <= record.sizeBytes;
  const found = isOurs ? await disk.read(path) : undefined;
  if (found && isFileOf(record, found)) return { kind: "whole", path };
  if (!bytes || !isFileOf(record, bytes)) return { kind: "lost" };
  const written = room.take(recordsOfFileBytes, true);
  try {
    if (found && isTorn(found, bytes)) await disk.unlink(path);
    return await restore(options, id, record, bytes, sequence);
  } finally {
    written();
  }
}

/** Makes a file anew, from a temp file that goes in any case. */
async function restore(
  options: RecoveryOptions,
  id: FileId,
  record: StoredRecord,
  bytes: Buffer,
  sequence: bigint,
): Promise<Outcome> {
  const tempPath = join(options.tempDir, `journal-${sequence}-${id.origin}-${id.requestNumber}`);
  try {
    const { modifiedNs } = await options.disk.writeWhole(tempPath, [bytes]);
    return await giveName(options, id, record, modifiedNs, tempPath);
  } finally {
    // It is gone already where it got its name. One that stays is swept by the next start.
    await options.disk.unlink(tempPath).catch(() => {});
  }
}

/** Its time of writing is another now, so its record is written first, as for a new file. */
async function giveName(
  { dir, disk, index, log }: RecoveryOptions,
  id: FileId,
  record: StoredRecord,
  modifiedNs: bigint,
  tempPath: string,
): Promise<Outcome> {
  for (const storedName of storedNames(record.storedName, id.origin)) {
    const path = join(dir, storedName);
    await index.put(id, { ...record, storedName, modifiedNs });
    try {
      await disk.giveName(tempPath, path);
      return { kind: "restored", path };
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error;
    }
  }
  await index.put(id, record);
  log.error({ ...id, storedName: record.storedName }, "stored file cannot be restored: its names are taken");
  return { kind: "kept" };
}

function isFileOf(record: StoredRecord, bytes: Buffer): boolean {
  return createHash("sha256").update(bytes).digest("hex") === record.sha256;
}

/** Whether some bytes are what a power failure leaves of a file: the beginning of it, or zeros where it was not written. */
function isTorn(found: Buffer, whole: Buffer): boolean {
  return found.length <= whole.length && found.every((byte, at) => byte === 0 || byte === whole[at]);
}
