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
 * `raw` holds the message's own bytes. Both requests have the same layout but for the header, so a message without
 * headers can be passed on as it came: `encode` writes `raw` where it is given and ignores `parts` then.
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
      let length = part.data.length === 0 ? 0 : 1 + varintLength(part.data.length) + part.data.length;
      if (header) length += 1 + varintLength(header.length) + header.length;
      if (part.offset > 0) length += 1 + varintLength(part.offset);
      if (part.crc32c !== undefined) length += 5;
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

  function decodePart(reader: BinaryReader, end: number): Part<Header> {
    let header: Header | undefined;
    let finish: Finish | undefined;
    let offset = 0;
    let data: Uint8Array = noBytes;
    let crc32c: number | undefined;
    while (reader.pos < end) {
      const fieldTag = reader.uint32();
      switch (fieldTag) {
        case headerTag:
          header = headerCodec.decode(reader, reader.uint32());
          break;
        case offsetTag:
          offset = safeInteger(reader.uint64());
          break;
        case dataTag:
          data = reader.bytes();
          break;
        case crcTag:
          crc32c = reader.fixed32();
          break;
        case finishTag:
          finish = Finish.decode(reader, reader.uint32());
          break;
        default:
          reader.skip(fieldTag & 7);
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
        const fieldTag = reader.uint32();
        if (fieldTag === partsTag) {
          const length = reader.uint32();
          parts.push(decodePart(reader, reader.pos + length));
        } else {
          reader.skip(fieldTag & 7);
        }
      }
      return { parts, raw: bytes };
    } catch (error) {
      return { parts: [], raw: bytes, malformed: error instanceof Error ? error.message : String(error) };
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
