import { maxPartDataBytes } from "@bilancia/proto/limits";
import { SourceError } from "./errors.js";
import type { Upload } from "./upload.js";
import type { UploadStream } from "./upload-stream.js";

/** Told how far a file has come, in bytes. */
export type SentListener = (upload: Upload, sentBytes: number) => void;

/** Reads a small file whole. @throws SourceError, or whatever the source throws */
export async function readWhole(upload: Upload): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of upload.source.open(0)) pieces.push(piece);
  const bytes = pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
  assertWhole(upload, bytes.length);
  return bytes;
}

/** Sends a small file that has been read. */
export async function sendWhole(
  stream: UploadStream,
  upload: Upload,
  bytes: Uint8Array,
  onSent: SentListener,
): Promise<void> {
  const sending = stream.push(upload.wholePart(bytes));
  upload.phase = "sent";
  onSent(upload, bytes.length);
  await sending;
}

/**
 * Sends a file piece by piece; its header must have gone out already. Stops without a word when the stream is gone or the file has been
 * answered meanwhile; a file that turns out not to have the length it should have is never finished.
 *
 * @param fromBytes where the balancer wants to begin
 * @throws SourceError, or whatever the source throws
 */
export async function sendPieces(
  stream: UploadStream,
  upload: Upload,
  fromBytes: number,
  onSent: SentListener,
): Promise<void> {
  // What the digest has not seen yet is read again, even where the balancer has it already.
  let position = Math.min(fromBytes, upload.hashedBytes);
  for await (const piece of upload.source.open(position)) {
    for (let start = 0; start < piece.length; start += maxPartDataBytes) {
      if (stream.closed || upload.phase !== "sending") return;
      const data = piece.subarray(start, start + maxPartDataBytes);
      upload.absorb(position, data);
      const unsent = data.subarray(Math.max(0, fromBytes - position));
      position += data.length;
      if (unsent.length === 0) continue;
      await stream.push(upload.dataPart(position - unsent.length, unsent));
      onSent(upload, position);
    }
  }
  assertWhole(upload, position);
  if (position < fromBytes)
    throw new SourceError(`the balancer has ${fromBytes} bytes of this upload, but the file has only ${position}`);
  if (stream.closed || upload.phase !== "sending") return;
  const sending = stream.push(upload.finishPart());
  upload.phase = "sent";
  await sending;
}

function assertWhole(upload: Upload, foundBytes: number): void {
  const { name, sizeBytes } = upload.source;
  if (sizeBytes !== undefined && foundBytes !== sizeBytes)
    throw new SourceError(`${name} changed while it was uploaded: expected ${sizeBytes} bytes, found ${foundBytes}`);
}
