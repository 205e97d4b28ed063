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

/** Whether a row is what was put there. */
export function isSealed({ key, value }: Row): boolean {
  const contentBytes = value.length - checksumBytes;
  return contentBytes >= 0 && checksum(key, value, contentBytes) === value.readUInt32LE(contentBytes);
}

/** A view of what was sealed; `undefined` where the row is not what was put there. */
export function contentIn(row: Row): Buffer | undefined {
  return isSealed(row) ? row.value.subarray(0, -checksumBytes) : undefined;
}

/** A start calls it for each row: one call of CRC-32C where LMDB's file has key and content side by side, and no views but what that needs. */
function checksum(key: Buffer, value: Buffer, contentBytes: number): number {
  const isBeside = key.buffer === value.buffer && key.byteOffset + key.length === value.byteOffset;
  if (isBeside) return crc32c(new Uint8Array(key.buffer, key.byteOffset, key.length + contentBytes));
  return crc32c(new Uint8Array(value.buffer, value.byteOffset, contentBytes), crc32c(key));
}
