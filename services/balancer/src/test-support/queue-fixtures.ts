import { randomUUID } from "node:crypto";
import { crc32c } from "@node-rs/crc32";
import type { RejectReason } from "../domain/errors.js";
import type { UploadDescription } from "../domain/upload.js";
import type { Chunk, ContentReader } from "../ports/content.js";
import type { Inbox, IncomingUpload, UploadListener, UploadProgress } from "../ports/inbox.js";

/** A description of a small binary file with an id of its own. */
export function describeFile(changes: Partial<UploadDescription> = {}): UploadDescription {
  return {
    uploadId: randomUUID(),
    name: "a.bin",
    contentType: "",
    kind: "binary",
    ack: "stored",
    labels: {},
    ...changes,
  };
}

const pattern = Buffer.from(Uint8Array.from({ length: 251 * 256 }, (_, index) => (index * 31 + (index >> 8)) % 251));

/** Bytes that tell their position: a byte out of place is found. */
export function patterned(offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; ) at += pattern.copy(bytes, at, (offset + at) % pattern.length);
  return bytes;
}

export function chunkAt(offset: number, length: number): Chunk {
  const data = patterned(offset, length);
  return { offset, data, crc32c: crc32c(data) };
}

/** A client's stream that remembers what it was told, as short texts: `stored`, `queued`, `rejected QUEUE_FULL`. */
export class RecordingListener implements UploadListener {
  readonly client = "test";
  readonly news: UploadProgress[] = [];

  uploadProgress(_uploadId: string, _requestNumber: bigint, progress: UploadProgress): void {
    this.news.push(progress);
  }

  get told(): string[] {
    return this.news.map((progress) =>
      progress.kind === "rejected" ? `rejected ${progress.rejection.reason}` : progress.kind,
    );
  }

  get rejection(): RejectReason | undefined {
    const last = this.news.at(-1);
    return last?.kind === "rejected" ? last.rejection.reason : undefined;
  }
}

/** Opens an upload that is expected to be let in. */
export function openUpload(inbox: Inbox, description: UploadDescription, listener: UploadListener): IncomingUpload {
  const opened = inbox.open(description, listener);
  if (opened.kind !== "receiving") throw new Error(`expected receiving; came ${JSON.stringify(opened, bigintAsText)}`);
  return opened.upload;
}

/** Sends a whole file of so many bytes, in chunks. */
export function sendFile(
  inbox: Inbox,
  description: UploadDescription,
  listener: UploadListener,
  sizeBytes = 5,
  chunkBytes = 64 * 1024,
): IncomingUpload {
  const upload = openUpload(inbox, description, listener);
  for (let at = upload.receivedBytes; at < sizeBytes; at += chunkBytes) {
    upload.append(chunkAt(at, Math.min(chunkBytes, sizeBytes - at)));
  }
  upload.complete({});
  return upload;
}

/** Reads to the end, or to where it breaks off, and checks every byte on the way. */
export async function readOut(reader: ContentReader): Promise<{ sizeBytes: number; end: "end" | "broken" }> {
  let position = 0;
  for (;;) {
    const content = await reader.next();
    if (content.kind !== "chunk") return { sizeBytes: position, end: content.kind };
    const { offset, data, crc32c: crc } = content.chunk;
    if (offset !== position) throw new Error(`a chunk begins at ${offset}; expected ${position}`);
    if (!patterned(offset, data.length).equals(data)) throw new Error(`wrong bytes in the chunk at ${offset}`);
    if (crc32c(data) !== crc) throw new Error(`wrong checksum of the chunk at ${offset}`);
    position += data.length;
  }
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
