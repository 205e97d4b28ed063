import assert from "node:assert/strict";
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

  it("passes a message without headers from the upload stream to the save stream byte for byte", () => {
    fc.assert(
      fc.property(parts<never>(fc.constant(undefined as never)), (list) => {
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

  for (const [what, hex] of [
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
