import { BinaryReader, type BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Finish } from "./gen/bilancia/v1/storage.js";
import { newMessage } from "./message-prefix.js";

/**
 * A piece of a file as `UploadPart` and `SavePart` carry it. `data` is a view into the message it came in, never a copy:
 * whoever keeps it keeps the whole message.
 */
export interface Part<Header> {
  readonly header?: Header | undefined;
  /** Position of `data` in the file, in bytes. */
  readonly offset: number;
  readonly data: Uint8Array;
  readonly crc32c?: number | undefined;
  readonly finish?: Finish | undefined;
}

/**
 * One message on an upload or save stream.
 *
 * `raw` holds the message's own bytes where it can be passed on as it came: both requests have the same layout but for the
 * header, and it has neither header nor finish, and nothing in it that this codec would not write. `encode` writes `raw` where
 * it is given and ignores `parts` then.
 * `malformed` says why the bytes are no such message; `parts` is then empty.
 */
export interface PartBatch<Header> {
  readonly parts: readonly Part<Header>[];
  readonly raw?: Buffer;
  readonly malformed?: string;
}

/** What ts-proto generates for a message; the codec uses it for the headers, which are off the hot path. */
interface MessageCodec<T> {
  encode(message: T, writer?: BinaryWriter): BinaryWriter;
  decode(input: BinaryReader | Uint8Array, length?: number): T;
}

/** Writes and reads the messages of one stream. */
export interface PartCodec<Header> {
  encode(batch: PartBatch<Header>): Buffer;
  /** Never throws: bytes that are no such message come back as `malformed`. */
  decode(bytes: Buffer): PartBatch<Header>;
}

const tag = (field: number, type: WireType): number => (field << 3) | type;
const partsTag = tag(1, WireType.LengthDelimited);
const headerTag = tag(1, WireType.LengthDelimited);
const offsetTag = tag(2, WireType.Varint);
const dataTag = tag(3, WireType.LengthDelimited);
const crcTag = tag(4, WireType.Bit32);
const finishTag = tag(5, WireType.LengthDelimited);
/** That of field 1: there is no field 0. */
const leastTag = tag(1, WireType.Varint);
const noBytes = new Uint8Array(0);

/**
 * Makes the codec of `UploadFileRequest` or `SaveRequest`. The generated code copies `data` twice when writing (once
 * into the part, once into the message); this one copies it once, into a buffer of the right size.
 */
export function partCodec<Header>(headerCodec: MessageCodec<Header>): PartCodec<Header> {
  function encode(batch: PartBatch<Header>): Buffer {
    if (batch.raw) return batch.raw;
    const pieces = batch.parts.map((part) => {
      const header = part.header && headerCodec.encode(part.header).finish();
      const finish = part.finish && Finish.encode(part.finish).finish();
      let length = plainLength(part);
      if (header) length += 1 + varintLength(header.length) + header.length;
      if (finish) length += 1 + varintLength(finish.length) + finish.length;
      return { part, header, finish, length };
    });
    const total = pieces.reduce((sum, { length }) => sum + 1 + varintLength(length) + length, 0);
    const out = newMessage(total);
    let at = 0;
    const bytes = (fieldTag: number, value: Uint8Array) => {
      out[at++] = fieldTag;
      at = writeVarint(out, at, value.length);
      out.set(value, at);
      at += value.length;
    };
    for (const { part, header, finish, length } of pieces) {
      out[at++] = partsTag;
      at = writeVarint(out, at, length);
      if (header) bytes(headerTag, header);
      if (part.offset > 0) {
        out[at++] = offsetTag;
        at = writeVarint(out, at, part.offset);
      }
      if (part.data.length > 0) bytes(dataTag, part.data);
      if (part.crc32c !== undefined) {
        out[at++] = crcTag;
        at = out.writeUInt32LE(part.crc32c, at);
      }
      if (finish) bytes(finishTag, finish);
    }
    return out;
  }

  function decodePart(bytes: Buffer, reader: BinaryReader, end: number): Part<Header> {
    let header: Header | undefined;
    let finish: Finish | undefined;
    let offset = 0;
    let data: Uint8Array = noBytes;
    let crc32c: number | undefined;
    while (reader.pos < end) {
      const fieldTag = readTag(bytes, reader);
      switch (fieldTag) {
        case headerTag: {
          const length = reader.uint32();
          const headerEnd = reader.pos + length;
          header = headerCodec.decode(reader, length);
          checkEnd(reader, headerEnd);
          break;
        }
        case offsetTag:
          offset = readOffset(bytes, reader);
          break;
        case dataTag:
          data = reader.bytes();
          break;
        case crcTag:
          crc32c = reader.fixed32();
          break;
        case finishTag: {
          const length = reader.uint32();
          const finishEnd = reader.pos + length;
          finish = Finish.decode(reader, length);
          checkEnd(reader, finishEnd);
          break;
        }
        default:
          reader.skip(fieldTag & 7, fieldTag >>> 3);
      }
    }
    if (reader.pos !== end) throw new RangeError("a part runs past its end");
    return { header, offset, data, crc32c, finish };
  }

  function decode(bytes: Buffer): PartBatch<Header> {
    const parts: Part<Header>[] = [];
    try {
      const reader = new BinaryReader(bytes);
      while (reader.pos < reader.len) {
        const fieldTag = readTag(bytes, reader);
        if (fieldTag === partsTag) {
          const length = reader.uint32();
          parts.push(decodePart(bytes, reader, reader.pos + length));
        } else {
          reader.skip(fieldTag & 7, fieldTag >>> 3);
        }
      }
      return isPlain(parts, bytes.length) ? { parts, raw: bytes } : { parts };
    } catch (error) {
      return { parts: [], malformed: error instanceof Error ? error.message : String(error) };
    }
  }

  return { encode, decode };
}

/**
 * Makes a message of one part without header and finish before its data is there.
 *
 * @returns the message, and the place in it where `length` bytes of data belong, whose CRC-32C is given
 */
export function dataMessage(offset: number, length: number, crc32c: number): { raw: Buffer; data: Buffer } {
  const offsetBytes = offset > 0 ? 1 + varintLength(offset) : 0;
  const partBytes = offsetBytes + 1 + varintLength(length) + length + 5;
  const raw = newMessage(1 + varintLength(partBytes) + partBytes);
  raw[0] = partsTag;
  let at = writeVarint(raw, 1, partBytes);
  if (offset > 0) {
    raw[at++] = offsetTag;
    at = writeVarint(raw, at, offset);
  }
  raw[at++] = dataTag;
  at = writeVarint(raw, at, length);
  const data = raw.subarray(at, at + length);
  raw[at + length] = crcTag;
  raw.writeUInt32LE(crc32c, at + length + 1);
  return { raw, data };
}

/** Reads a tag, and refuses what is none. The reader makes an array of each: it is asked only where the first byte is not all of a legal one. */
function readTag(bytes: Buffer, reader: BinaryReader): number {
  const first = bytes[reader.pos] ?? 0;
  if (first >= leastTag && first < 128 && (first & 7) <= WireType.Bit32) {
    reader.pos += 1;
    return first;
  }
  return tag(...reader.tag());
}

/** Reads an offset. The reader makes a bigint of each: up to 2^49 a number will do. */
function readOffset(bytes: Buffer, reader: BinaryReader): number {
  let offset = 0;
  let unit = 1;
  for (let at = reader.pos; at < reader.pos + 7; at++) {
    const byte = bytes[at] ?? 128;
    offset += (byte & 127) * unit;
    if (byte < 128) {
      reader.pos = at + 1;
      return offset;
    }
    unit *= 128;
  }
  return safeInteger(reader.uint64());
}

/** The generated code stops, without a word, where it comes upon what is no field, and reads on where a field is longer than it may be. */
function checkEnd(reader: BinaryReader, end: number): void {
  if (reader.pos !== end) throw new RangeError("a header or a finish ends before its end, or after it");
}

/**
 * Whether a message of so many bytes has parts without header and finish, and nothing but what was read of them, in as few bytes as
 * that takes. Anything else a storage server may read in another way than this codec, or refuse.
 */
function isPlain(parts: readonly Part<unknown>[], messageBytes: number): boolean {
  let total = 0;
  for (const part of parts) {
    if (part.header || part.finish) return false;
    const length = plainLength(part);
    total += 1 + varintLength(length) + length;
  }
  return total === messageBytes;
}

/** How many bytes a part takes but for its header and its finish. */
function plainLength({ offset, data, crc32c }: Part<unknown>): number {
  let length = data.length === 0 ? 0 : 1 + varintLength(data.length) + data.length;
  if (offset > 0) length += 1 + varintLength(offset);
  if (crc32c !== undefined) length += 5;
  return length;
}

function safeInteger(value: bigint | string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`the offset ${value} is over ${Number.MAX_SAFE_INTEGER}`);
  return number;
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}

function writeVarint(out: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 128) {
    out[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  out[at++] = rest;
  return at;
}
