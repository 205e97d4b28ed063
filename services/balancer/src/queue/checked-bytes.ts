import { crc32c } from "@node-rs/crc32";

/** What stands before the bytes. */
export const checksumBytes = 4;

/**
 * CRC-32C, then the bytes: LMDB has no checksums of its own.
 *
 * @param key under which they are put: with it, they are not taken for those of another key
 */
export function withChecksum(bytes: Uint8Array, key?: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(checksumBytes + bytes.length);
  value.writeUInt32LE(checksum(bytes, key), 0);
  value.set(bytes, checksumBytes);
  return value;
}

/** A view of the bytes without their checksum; `undefined` where it does not match. */
export function checkedBytes(value: Buffer, key?: Buffer): Buffer | undefined {
  if (value.length < checksumBytes) return undefined;
  const bytes = value.subarray(checksumBytes);
  return checksum(bytes, key) === value.readUInt32LE(0) ? bytes : undefined;
}

function checksum(bytes: Uint8Array, key: Uint8Array | undefined): number {
  return key ? crc32c(bytes, crc32c(key)) : crc32c(bytes);
}
