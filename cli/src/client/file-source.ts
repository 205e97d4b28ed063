import type { Stats } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { describeError, errorCode } from "@bilancia/proto/system-error";
import { SourceError } from "./errors.js";
import type { DocumentKind, UploadIdentity, UploadPriority, UploadSource } from "./upload-source.js";

/** Most bytes read from a file at once. One such piece is read ahead. */
const pieceBytes = 256 * 1024;

/** What a file is called and taken for. */
export interface FileDescription {
  readonly name: string;
  readonly kind: DocumentKind;
  readonly contentType: string;
  /** Default: `normal`. */
  readonly priority?: UploadPriority | undefined;
}

/** What a file was when it was looked at. */
export interface NotedFile {
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

/**
 * A source over a regular file. The file's length and time of change are noted now; when they are found to differ while it is read, the
 * source fails, so that no mixture of two versions is ever stored. A file that is not there, or is no regular file, fails then too.
 *
 * @param identify chooses the id of the upload
 */
export async function fileSource(
  path: string,
  description: FileDescription,
  identify?: (noted: NotedFile) => UploadIdentity,
): Promise<UploadSource> {
  let noted: Stats;
  try {
    noted = await stat(path);
  } catch (error) {
    return unreadableSource(path, description, readingProblem(path, error));
  }
  if (!noted.isFile())
    return unreadableSource(path, description, `it is ${noted.isDirectory() ? "a folder" : "no regular file"}`);
  const { size, mtimeMs } = noted;
  return {
    ...description,
    sizeBytes: size,
    identity: identify?.({ sizeBytes: size, mtimeMs }),
    async *open(offsetBytes) {
      const handle = await open(path).catch((error: unknown) => {
        throw new SourceError(`cannot read ${path}: ${describeError(error)}`, { cause: error });
      });
      try {
        await assertUnchanged(handle, path, size, mtimeMs);
        yield* readRange(handle, path, offsetBytes, size);
        await assertUnchanged(handle, path, size, mtimeMs);
      } finally {
        await handle.close();
      }
    },
  };
}

/** A source that can only say why it cannot be read. Its length is given as 0, so that nothing of it is sent before it is read. */
export function unreadableSource(path: string, description: FileDescription, why: string): UploadSource {
  return {
    ...description,
    sizeBytes: 0,
    open() {
      throw new SourceError(`cannot read ${path}: ${why}`);
    },
  };
}

/** Why a file or folder cannot be read, in words for people. */
export function readingProblem(path: string, error: unknown): string {
  // Node puts this mark in place of bytes that are no text, and then looks for a name that is not there.
  if (errorCode(error) === "ENOENT" && path.includes("\ufffd")) return "its name is not UTF-8";
  return describeError(error);
}

/** Reads the bytes from `from` to `to`, with one piece read ahead of the one in use. @throws SourceError */
export async function* readRange(
  handle: FileHandle,
  path: string,
  from: number,
  to: number,
): AsyncGenerator<Uint8Array, void, void> {
  let next = from < to ? readPiece(handle, path, from, to) : undefined;
  let position = from;
  while (next) {
    const piece = await next;
    if (piece.length === 0)
      throw new SourceError(`${path} shrank while it was read: expected ${to} bytes, found ${position}`);
    position += piece.length;
    next = position < to ? readPiece(handle, path, position, to) : undefined;
    // A reader that stops early never looks at the piece read ahead; its failure must not end the process.
    next?.catch(() => {});
    yield piece;
  }
}

async function readPiece(handle: FileHandle, path: string, position: number, end: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(Math.min(pieceBytes, end - position));
  try {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw new SourceError(`cannot read ${path}: ${describeError(error)}`, { cause: error });
  }
}

async function assertUnchanged(handle: FileHandle, path: string, sizeBytes: number, mtimeMs: number): Promise<void> {
  const now = await handle.stat();
  if (now.size !== sizeBytes)
    throw new SourceError(`${path} changed while it was uploaded: expected ${sizeBytes} bytes, found ${now.size}`);
  if (now.mtimeMs !== mtimeMs) throw new SourceError(`${path} changed while it was uploaded`);
}
