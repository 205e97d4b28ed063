import type { Fence } from "./fences.js";

/** What names a file on the wire: the ledger that numbered it, and its number there. Two origins may use the same number. */
export interface FileId {
  /** 32 lowercase hexadecimal digits. */
  readonly origin: string;
  readonly requestNumber: bigint;
}

/** A file as the sender of one attempt knows it. */
export interface AttemptedFile {
  readonly id: FileId;
  /** The client's UUID for the upload, in lower case. */
  readonly uploadId: string;
  readonly fence: Fence;
}

const maxUint64 = 2n ** 64n - 1n;

/** Says what is wrong with an identity that came over the wire, or `undefined`. */
export function fileIdProblem({ origin, requestNumber }: FileId): string | undefined {
  if (!/^[0-9a-f]{32}$/.test(origin))
    return `origin is ${JSON.stringify(origin.slice(0, 60))}; expected 32 lowercase hexadecimal digits`;
  if (requestNumber < 1n || requestNumber > maxUint64)
    return `request_number is ${requestNumber}; expected a number from 1 on`;
  return undefined;
}

/** The identity as one text, for maps. */
export function fileKey({ origin, requestNumber }: FileId): string {
  return `${origin}/${requestNumber}`;
}

/** How many bytes `fileIdBytes` gives. */
export const fileIdLengthBytes = 24;

/** The identity as bytes, for keys on disk. */
export function fileIdBytes(id: FileId): Buffer {
  const bytes = Buffer.allocUnsafe(fileIdLengthBytes);
  writeFileId(id, bytes, 0);
  return bytes;
}

let lastOrigin = "";
let lastOriginBytes = Buffer.alloc(0);

/** Writes those bytes somewhere. Nearly all files of a server come from one origin, so the bytes of the last one are remembered. */
export function writeFileId({ origin, requestNumber }: FileId, into: Buffer, at: number): void {
  if (origin !== lastOrigin) {
    lastOrigin = origin;
    lastOriginBytes = Buffer.from(origin, "hex");
  }
  into.set(lastOriginBytes, at);
  into.writeBigUInt64BE(requestNumber, at + lastOriginBytes.length);
}

/** The identity that `fileIdBytes` wrote at the beginning of some bytes. */
export function fileIdFrom(bytes: Buffer): FileId {
  return { origin: bytes.toString("hex", 0, 16), requestNumber: bytes.readBigUInt64BE(16) };
}
