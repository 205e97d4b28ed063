import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Logger } from "pino";
import type { Disk } from "./disk.js";
import { type FileId, fileKey } from "./file-id.js";
import type { FileIndex, StoredRecord } from "./file-index.js";
import type { FileJournal } from "./file-journal.js";
import { storedNames } from "./stored-names.js";
import { errorCode, isFull } from "./system-error.js";

/** What `recoverJournal` works with. */
export interface RecoveryOptions {
  readonly dir: string;
  readonly tempDir: string;
  readonly disk: Disk;
  readonly index: FileIndex;
  readonly journal: FileJournal;
  readonly log: Logger;
}

/** What became of one entry; `path` is where its file lies. */
type Outcome =
  | { readonly kind: "whole" | "restored"; readonly path: string }
  | { readonly kind: "obsolete" | "damaged" }
  /** It could not be made anew, so its entry stays for the next start. */
  | { readonly kind: "kept" };

/** How many files are looked at together, so that their records share a flush. */
const groupCount = 64;

/**
 * Makes good what a crash took from a directory: every file in the journal that is missing there or torn is made anew, and then the journal
 * is trimmed. Another's file is never overwritten. A damaged entry is reported and left out; a file whose names are all taken, or for which
 * there is no room, is reported, and its entry stays for the next start.
 *
 * @throws the error of the disk when a file could not be made anew for another reason, or a flush failed; the journal is as it was then
 */
export async function recoverJournal(options: RecoveryOptions): Promise<void> {
  const { dir, disk, journal, log } = options;
  const sequences = journal.sequences();
  if (sequences.length === 0) return;
  const outcomes = new Map<bigint, Outcome>();
  // A file that a start could not make anew may have been sent again since: only its latest entry counts.
  const ids = new Map(sequences.map((sequence) => [sequence, journal.idOf(sequence)]));
  const latest = new Map<string, bigint>();
  for (const [sequence, id] of ids) if (id) latest.set(fileKey(id), sequence);
  for (let at = 0; at < sequences.length; at += groupCount) {
    const group = sequences.slice(at, at + groupCount);
    const recovering = group.map(async (sequence) => {
      const id = ids.get(sequence);
      const isObsolete = id !== undefined && latest.get(fileKey(id)) !== sequence;
      outcomes.set(sequence, isObsolete ? { kind: "obsolete" } : await recoverIfRoom(options, sequence, id));
    });
    await Promise.all(recovering);
  }
  const count = (kind: Outcome["kind"]) => [...outcomes.values()].filter((outcome) => outcome.kind === kind).length;
  await disk.syncFiles(
    dir,
    [...outcomes.values()].flatMap((outcome) => ("path" in outcome ? [outcome.path] : [])),
  );
  try {
    await journal.remove(sequences.filter((sequence) => outcomes.get(sequence)?.kind !== "kept"));
  } catch (error) {
    // Where there is no room to remove them they stay, which does no harm, and go another time.
    if (!isFull(error)) throw error;
  }
  const counts = { restored: count("restored"), damaged: count("damaged"), kept: count("kept") };
  log.info({ journalled: sequences.length, ...counts }, "recovered files");
}

/** @param id whose entry it is; of a damaged one it may be wrong */
async function recoverIfRoom(options: RecoveryOptions, sequence: bigint, id: FileId | undefined): Promise<Outcome> {
  try {
    return await recoverEntry(options, sequence, id);
  } catch (error) {
    if (!isFull(error)) throw error;
    const message = "stored file cannot be restored: the disk is full; it is tried again at the next start";
    options.log.error({ ...id, sequence }, message);
    return { kind: "kept" };
  }
}

async function recoverEntry(options: RecoveryOptions, sequence: bigint, entryId: FileId | undefined): Promise<Outcome> {
  const { dir, index, journal, disk, log } = options;
  const entry = journal.get(sequence);
  const record = entryId && index.get(entryId);
  if (!entry || !record) log.error({ ...entryId, sequence }, "journal entry is damaged");
  if (!entryId || !record) return { kind: "damaged" };
  if (record.state !== "stored") return { kind: "obsolete" };
  const path = join(dir, record.storedName);
  const mark = await disk.mark(path);
  // With another time of writing it is another's, even if it has the same bytes: the process died between record and name.
  const isOurs = mark?.modifiedNs === record.modifiedNs && mark.sizeBytes <= record.sizeBytes;
  const found = isOurs ? await disk.read(path) : undefined;
  if (found && isFileOf(record, found)) return { kind: "whole", path };
  if (!entry || !isFileOf(record, entry.bytes)) {
    // Its file is not what was acknowledged, so it is not served; whatever lies there is left to people to look at.
    log.error({ ...entryId, storedName: record.storedName }, "stored file is lost");
    await index.remove(entryId);
    return { kind: "damaged" };
  }
  if (found && isTorn(found, entry.bytes)) await disk.unlink(path);
  return restore(options, entryId, record, entry.bytes, sequence);
}

/** Makes a file anew. Its time of writing is another then, so its record is written first, as for a new file. */
async function restore(
  { dir, tempDir, disk, index, log }: RecoveryOptions,
  id: FileId,
  record: StoredRecord,
  bytes: Buffer,
  sequence: bigint,
): Promise<Outcome> {
  const tempPath = join(tempDir, `journal-${sequence}`);
  const { modifiedNs } = await disk.writeWhole(tempPath, [bytes]);
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
  await disk.unlink(tempPath);
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
