import type { Readable } from "node:stream";
import { prefixBytes } from "./message-prefix.js";

/** `ReadState.NO_DATA` of grpc-js. */
const betweenMessages = 0;

/** The parts of a grpc-js call on the server's side that have no public door; `message-assembly.test.ts` fails when an upgrade moves them. */
interface ServerCallInternals {
  call?: { decoder?: Partial<StockDecoder> };
}

interface StockDecoder {
  readonly readState: number;
  readonly maxReadMessageLength: number;
  write(data: Buffer): Buffer[];
}

/**
 * Puts messages together from what comes: each gets its memory when its length is known, and its bytes are copied to where they belong as they
 * come. Nothing of it is kept once it is whole.
 */
class MessageAssembler {
  readonly #maxBytes: number;
  readonly #prefix = Buffer.alloc(prefixBytes);
  #prefixLength = 0;
  #message: Buffer | undefined;
  #messageLength = 0;

  /** @param maxBytes of a message; -1 for any */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Takes what has come. @returns the messages that are whole now, each with its prefix @throws Error for a message that is too large */
  write(data: Buffer): Buffer[] {
    const whole: Buffer[] = [];
    for (let at = 0; at < data.length; ) {
      at += this.#message ? this.#fill(this.#message, data, at) : this.#begin(data, at);
      if (!this.#message || this.#messageLength < this.#message.length) continue;
      whole.push(this.#message);
      this.#message = undefined;
    }
    return whole;
  }

  #fill(message: Buffer, data: Buffer, from: number): number {
    const copied = data.copy(message, this.#messageLength, from);
    this.#messageLength += copied;
    return copied;
  }

  #begin(data: Buffer, from: number): number {
    const copied = data.copy(this.#prefix, this.#prefixLength, from);
    this.#prefixLength += copied;
    if (this.#prefixLength < prefixBytes) return copied;
    const length = this.#prefix.readUInt32BE(1);
    if (this.#maxBytes !== -1 && length > this.#maxBytes)
      throw new Error(`Received message larger than max (${length} vs ${this.#maxBytes})`);
    this.#message = Buffer.allocUnsafe(prefixBytes + length);
    this.#message.set(this.#prefix);
    this.#messageLength = prefixBytes;
    this.#prefixLength = 0;
    return copied;
  }
}

/**
 * Lets a call of a server put its messages together with one copy of each byte. grpc-js keeps slices of what came from the socket until a message
 * is whole, copies them into one then, and keeps them until the next message begins, which may be never. To be called before anything of the call
 * has been read; where grpc-js is not as expected, the call stays as it is.
 *
 * @returns whether it does so now
 */
export function assembleInPlace(call: Readable): boolean {
  const { call: inner } = call as unknown as ServerCallInternals;
  const decoder = inner?.decoder;
  if (typeof decoder?.write !== "function" || decoder.readState !== betweenMessages) return false;
  if (inner === undefined || typeof decoder.maxReadMessageLength !== "number") return false;
  const assembler = new MessageAssembler(decoder.maxReadMessageLength);
  inner.decoder = { write: (data) => assembler.write(data) };
  return true;
}
