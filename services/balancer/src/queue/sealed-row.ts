import { crc32c } from "@node-rs/crc32";

/** What a table of LMDB has under a key. */
export interface Row {
  readonly key: Buffer;
  readonly value: Buffer;
}

const checksumBytes = 4;

/** A row with a CRC-32C at its end, over key and content: under another key it is not taken for whole. */
export function sealed(key: Buffer, content: Uint8Array | string): Row {
  const contentBytes = Buffer.byteLength(content);
  const row = Buffer.allocUnsafe(key.length + contentBytes + checksumBytes);
  row.set(key);
  if (typeof content === "string") row.write(content, key.length);
  else row.set(content, key.length);
  const end = key.length + contentBytes;
  row.writeUInt32LE(crc32c(row.subarray(0, end)), end);
  return { key, value: row.subarray(key.length) };
}

/** A view of what was sealed; `undefined` where the row is not what was put there. */
export function contentIn({ key, value }: Row): Buffer | undefined {
  const contentBytes = value.length - checksumBytes;
  if (contentBytes < 0) return undefined;
  const content = value.subarray(0, contentBytes);
  return checksum(key, content) === value.readUInt32LE(contentBytes) ? content : undefined;
}

function checksum(key: Buffer, content: Buffer): number {
  // LMDB's file has them side by side: one call in place of two, for each row at a start.
  const isBeside = key.buffer === content.buffer && key.byteOffset + key.length === content.byteOffset;
  if (isBeside) return crc32c(Buffer.from(key.buffer, key.byteOffset, key.length + content.length));
  return crc32c(content, crc32c(key));
}
