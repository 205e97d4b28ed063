/** What gRPC puts in front of each message, in bytes: a flag, 0 where it is not compressed, and the length. */
export const prefixBytes = 5;
/** Smaller buffers come out of Node's pool. */
const leastOwnBytes = 4 * 1024;
const notCompressed = 0;

/** Memory for a message that is about to be written. A large one has its prefix in front of it already, so that it can be sent as it lies there. */
export function newMessage(lengthBytes: number): Buffer {
  if (lengthBytes < leastOwnBytes) return Buffer.allocUnsafe(lengthBytes);
  const framed = Buffer.allocUnsafe(prefixBytes + lengthBytes);
  framed[0] = notCompressed;
  framed.writeUInt32BE(lengthBytes, 1);
  return framed.subarray(prefixBytes);
}

/**
 * A message together with its prefix, where the two, and nothing else, lie in one piece of memory: as they came from the wire, or as `newMessage`
 * has made them.
 */
export function framed(message: Uint8Array): Buffer | undefined {
  const { buffer, byteOffset, length } = message;
  if (byteOffset !== prefixBytes || buffer.byteLength !== prefixBytes + length) return undefined;
  const whole = Buffer.from(buffer, 0, prefixBytes + length);
  return whole[0] === notCompressed && whole.readUInt32BE(1) === length ? whole : undefined;
}
