import type { Fence } from "./fences.js";
import type { AttemptedFile, FileId } from "./file-id.js";
import type { StoredRecord } from "./file-index.js";
import type { DocumentStats } from "./text-document.js";

/** A file about to be stored: all that is on record about it besides its bytes. */
export interface NewFile extends AttemptedFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly sha256: Uint8Array;
  readonly stats?: DocumentStats | undefined;
}

/** What a store knows of a file. `fence` is the highest attempt on record. */
export type Known =
  | { readonly state: "none"; readonly fence?: Fence | undefined }
  | { readonly state: "stored"; readonly fence: Fence; readonly record: StoredRecord }
  | { readonly state: "discarded"; readonly fence: Fence; readonly uploadId: string };

/**
 * Keeps files and their records. A port: how small files become durable is the store's own business. The caller sees to it that no two
 * calls about the same file run at once.
 *
 * Expected failures are thrown as `Refusal`: NO_SPACE, INTERNAL. A failed flush is final: it throws `StoreBroken`, and so does every call after it.
 */
export interface FileStore {
  /** What is held under an identity. A record without its file counts as nothing held. */
  find(id: FileId): Known | Promise<Known>;
  /** Whose upload the file on record is, whether it is held or not; `undefined` where there is none, or a tombstone. */
  ownerOf(id: FileId): string | undefined;
  /** Stores a file whose bytes are all there. Resolves once file, name and record are flushed. */
  saveWhole(file: NewFile, chunks: readonly Uint8Array[]): Promise<StoredRecord>;
  /** Begins a file whose bytes come bit by bit. */
  begin(): Promise<Draft>;
  /** Notes durably that a stored file has been answered to a later attempt. */
  raiseFence(id: FileId, record: StoredRecord, fence: Fence): Promise<void>;
  /** Removes a file, if it is held, and leaves a tombstone. Resolves once both are flushed; true when there was a file. */
  discard(file: AttemptedFile): Promise<boolean>;
}

/** A file that is being written and has no name yet. Whoever began it ends it, by `save` or `drop`. */
export interface Draft {
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /** All bytes written so far. */
  read(): Promise<Buffer>;
  /** Stores it, as `saveWhole` does. The draft has ended then, also when this throws. */
  save(file: NewFile): Promise<StoredRecord>;
  /** Removes it. Never throws. */
  drop(): Promise<void>;
}

/** A flush failed: what the kernel said to be written may be lost, so nothing can be acknowledged any more until the process is started again. */
export class StoreBroken extends Error {}
