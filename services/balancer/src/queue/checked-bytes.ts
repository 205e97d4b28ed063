import { crc32c } from "@node-rs/crc32";

const checksumBytes = 4;

/** CRC-32C, then the bytes: LMDB has no checksums of its own. */
export function withChecksum(bytes: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(checksumBytes + bytes.length);
  value.writeUInt32LE(crc32c(bytes), 0);
  value.set(bytes, checksumBytes);
  return value;
}

/** A view of the bytes without their checksum; `undefined` where it does not match. */
export function checkedBytes(value: Uint8Array): Uint8Array | undefined {
  if (value.length < checksumBytes) return undefined;
  const bytes = value.subarray(checksumBytes);
  const sum = Buffer.from(value.buffer, value.byteOffset, checksumBytes).readUInt32LE(0);
  return crc32c(bytes) === sum ? bytes : undefined;
}
