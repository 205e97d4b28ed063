import assert from "node:assert/strict";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { Ack, Priority, UploadFileRequest, UploadHeader } from "./gen/bilancia/v1/balancer.js";
import { type Finish, Kind, SaveHeader, SaveRequest } from "./gen/bilancia/v1/storage.js";
import { dataMessage, type Part, partCodec } from "./part-codec.js";

const uploadCodec = partCodec(UploadHeader);
const saveCodec = partCodec(SaveHeader);

// Map keys like `__proto__` are no labels of anybody; the generated code cannot keep them.
const word = fc.string({ maxLength: 12 }).filter((text) => !(text in {}));
const bytes = fc.uint8Array({ maxLength: 300 });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const shared = {
  name: word,
  sizeBytes: optional(uint64),
  sha256: optional(bytes),
  contentType: word,
  kind: fc.constantFrom(Kind.KIND_UNSPECIFIED, Kind.KIND_TEXT_DOCUMENT, Kind.KIND_BINARY),
  labels: fc.dictionary(word, word, { maxKeys: 3, noNullPrototype: true }),
};
const uploadHeader: fc.Arbitrary<UploadHeader> = fc.record({
  ...shared,
  uploadId: word,
  ack: fc.constantFrom(Ack.ACK_UNSPECIFIED, Ack.ACK_STORED, Ack.ACK_QUEUED),
  priority: fc.constantFrom(Priority.PRIORITY_UNSPECIFIED, Priority.PRIORITY_LOW, Priority.PRIORITY_HIGH),
});
const saveHeader: fc.Arbitrary<SaveHeader> = fc.record({
  ...shared,
  origin: word,
  uploadId: word,
  requestNumber: uint64,
  attempt: fc.nat(),
  term: uint64,
});
const finish: fc.Arbitrary<Finish> = fc.record({ sizeBytes: optional(uint64), sha256: optional(bytes) });

function parts<Header>(header: fc.Arbitrary<Header>): fc.Arbitrary<Part<Header>[]> {
  const part = fc.record({
    header: optional(header),
    offset: fc.oneof(fc.nat(300), fc.maxSafeNat()),
    data: bytes,
    crc32c: optional(fc.integer({ min: 0, max: 2 ** 32 - 1 })),
    finish: optional(finish),
  });
  return fc.array(part, { maxLength: 8 });
}

const plainParts = parts<never>(fc.constant(undefined as never)).map((list) =>
  list.map((part) => ({ ...part, header: undefined, finish: undefined })),
);

/** Whether bytes are fields, one behind the other; those named in `inner` have fields of their own in them. */
function areFields(bytes: Uint8Array, inner: Readonly<Record<number, object>>): boolean {
  const reader = new BinaryReader(bytes);
  try {
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      const within = type === WireType.LengthDelimited ? inner[field] : undefined;
      if (!within) reader.skip(type, field);
      else if (!areFields(reader.bytes(), within as Readonly<Record<number, object>>)) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/** What the generated code reads; `undefined` where it cannot. */
function readByGenerated(bytes: Uint8Array): UploadFileRequest | undefined {
  try {
    return UploadFileRequest.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Views of other buffers and buffers of their own are the same bytes; deep equality must not tell them apart. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

const generated = <Header>(list: readonly Part<Header>[]) => ({
  parts: list.map((part) => ({
    header: part.header,
    offset: BigInt(part.offset),
    data: part.data,
    crc32c: part.crc32c,
    finish: part.finish,
  })),
});

describe("part codec", () => {
  it("reads back what it wrote", () => {
    fc.assert(
      fc.property(parts(uploadHeader), (list) => {
        const decoded = uploadCodec.decode(uploadCodec.encode({ parts: list }));
        assert.equal(decoded.malformed, undefined);
        assert.deepEqual(plain(decoded.parts), plain(list));
      }),
    );
  });

  it("writes what the generated UploadFileRequest reads, and reads what it writes", () => {
    fc.assert(
      fc.property(parts(uploadHeader), (list) => {
        const message = generated(list) as UploadFileRequest;
        const ours = uploadCodec.encode({ parts: list });
        assert.deepEqual(plain(UploadFileRequest.decode(ours)), plain(message));
        const theirs = Buffer.from(UploadFileRequest.encode(message).finish());
        assert.deepEqual(plain(uploadCodec.decode(theirs).parts), plain(list));
      }),
    );
  });

  it("writes what the generated SaveRequest reads, and reads what it writes", () => {
    fc.assert(
      fc.property(parts(saveHeader), (list) => {
        const message = generated(list) as SaveRequest;
        const ours = saveCodec.encode({ parts: list });
        assert.deepEqual(plain(SaveRequest.decode(ours)), plain(message));
        const theirs = Buffer.from(SaveRequest.encode(message).finish());
        assert.deepEqual(plain(saveCodec.decode(theirs).parts), plain(list));
      }),
    );
  });

  it("passes a message without header and finish from the upload stream to the save stream byte for byte", () => {
    fc.assert(
      fc.property(plainParts, (list) => {
        const came = uploadCodec.decode(uploadCodec.encode({ parts: list }));
        const raw = came.raw;
        assert.ok(raw);
        assert.equal(saveCodec.encode({ parts: [], raw }), raw);
        assert.deepEqual(plain(saveCodec.decode(raw).parts), plain(list));
      }),
    );
  });

  it("makes a message before its data is there, as it would be with it", () => {
    const offsets = fc.oneof(fc.constant(0), fc.nat(300), fc.maxSafeNat());
    const contents = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.constant(new Uint8Array(70_000).fill(7)),
    );
    fc.assert(
      fc.property(offsets, contents, fc.integer({ min: 0, max: 2 ** 32 - 1 }), (offset, data, crc32c) => {
        const made = dataMessage(offset, data.length, crc32c);
        made.data.set(data);
        assert.equal(made.data.length, data.length);
        assert.deepEqual(made.raw, saveCodec.encode({ parts: [{ offset, data, crc32c }] }));
      }),
    );
  });

  it("gives data out as a view, not as a copy", () => {
    const message = uploadCodec.encode({ parts: [{ offset: 0, data: Buffer.alloc(1000, 7) }] });
    const data = uploadCodec.decode(message).parts[0]?.data;
    message.fill(9);
    assert.equal(data?.[500], 9);
  });

  it("never throws on random bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
        const decoded = uploadCodec.decode(Buffer.from(random));
        if (decoded.malformed !== undefined) assert.deepEqual(decoded.parts, []);
      }),
      { numRuns: 3_000 },
    );
  });

  it("never throws on damaged messages: a byte changed, cut short, or with a tail", () => {
    const damage = fc.record({ at: fc.nat(), byte: fc.nat(255), cut: fc.nat(), tail: fc.uint8Array({ maxLength: 5 }) });
    fc.assert(
      fc.property(parts(uploadHeader), damage, (list, { at, byte, cut, tail }) => {
        const message = uploadCodec.encode({ parts: list });
        const short = message.subarray(0, cut % (message.length + 1));
        const changed = Buffer.from(message);
        if (changed.length > 0) changed[at % changed.length] = byte;
        for (const bad of [short, changed, Buffer.concat([message, tail])]) {
          const decoded = saveCodec.decode(bad);
          if (decoded.malformed !== undefined) assert.deepEqual(decoded.parts, []);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("takes what the generated code takes, and as it does, but for what is no protobuf", () => {
    const damage = fc.record({ at: fc.nat(), cut: fc.nat(3), put: fc.uint8Array({ maxLength: 6 }) });
    const message = fc.oneof(parts(uploadHeader), plainParts).map((list) => uploadCodec.encode({ parts: list }));
    const stricter = /a header or a finish ends|the offset \d+ is over/;
    fc.assert(
      fc.property(message, damage, (whole, { at, cut, put }) => {
        const place = at % (whole.length + 1);
        const damaged = Buffer.concat([whole.subarray(0, place), put, whole.subarray(place + cut)]);
        const { parts: list, raw, malformed } = uploadCodec.decode(damaged);
        const wellFormed = areFields(damaged, { 1: { 1: {}, 5: {} } });
        const read = readByGenerated(damaged);
        if (malformed === undefined) {
          assert.deepEqual(plain(read), plain(generated(list)));
          if (raw) assert.ok(wellFormed);
        } else {
          assert.ok(!wellFormed || !read || stricter.test(malformed), malformed);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("gives a message out as it came only where nothing is in it that it would not write itself", () => {
    const data = Buffer.alloc(300, 7);
    const whole = uploadCodec.encode({ parts: [{ offset: 70_000, data, crc32c: 7 }] });
    assert.equal(uploadCodec.decode(whole).raw, whole);
    const behind = (hex: string) => Buffer.concat([whole, Buffer.from(hex, "hex")]);
    // The part's length takes bytes 1 and 2; the part ends with the message.
    const within = (hex: string) => {
      const longer = behind(hex);
      longer.writeUInt8(whole.readUInt8(1) + hex.length / 2, 1);
      return longer;
    };
    for (const [what, message] of [
      ["an unknown field behind the part", behind("7a0141")],
      ["an unknown field with a tag of two bytes", behind("a2060141")],
      ["an unknown group", behind("13080114")],
      ["an unknown field within the part", within("3001")],
      ["a field of ours as another type", within("1801")],
      ["the offset in more bytes than it takes", within("10f0a28400")],
    ] as const) {
      const { parts: list, raw, malformed } = uploadCodec.decode(message);
      assert.equal(malformed, undefined, what);
      assert.deepEqual(plain(list), plain(uploadCodec.decode(whole).parts), what);
      assert.equal(raw, undefined, what);
    }
    for (const part of [{ header: UploadHeader.create({ name: "a" }) }, { finish: {} }])
      assert.equal(uploadCodec.decode(uploadCodec.encode({ parts: [{ ...part, offset: 0, data }] })).raw, undefined);
  });

  for (const [what, hex] of [
    ["a field 0", "0a021000020141"],
    ["a field 0 within a part", "0a05100002014100"],
    ["a wire type that there is not", "0a0210000f"],
    ["a tag of six bytes", "0a0210009a8080808000"],
    ["a tag over 32 bits", "0a021000ffffffff1f00"],
    ["the end of a group that has not begun", "0a02100014"],
    ["the end of another group", "0a0210001308011c"],
    ["a header that stops before its end", "0a050a03001001"],
    ["a part longer than the message", "0a0512"],
    ["data longer than the part", "0a021a7f"],
    ["a varint without an end", "ffffffffffffffffffffff"],
    ["an offset over 2^53 - 1", "0a0b10ffffffffffffffffff01"],
    ["a header that reaches beyond its part", "0a020a0500000000ff"],
  ] as const) {
    it(`calls ${what} malformed`, () => {
      const { malformed, parts: none } = uploadCodec.decode(Buffer.from(hex, "hex"));
      assert.equal(typeof malformed, "string");
      assert.deepEqual(none, []);
    });
  }

  it("survives groups nested deeper than the stack", () => {
    const deep = uploadCodec.decode(Buffer.alloc(1024 * 1024, 0x2b));
    assert.equal(typeof deep.malformed, "string");
  });
});
