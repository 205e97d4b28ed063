import assert from "node:assert/strict";
import { type Finish, Kind, type SaveHeader } from "@bilancia/proto/gen/storage";
import type { Part } from "@bilancia/proto/part-codec";
import { eventually } from "@bilancia/proto/testing/eventually";
import { status } from "@grpc/grpc-js";
import { storedNames, tempNames, withServer } from "./testing/test-server.js";
import { header, part, sha256, TestStream, wholeFile } from "./testing/test-stream.js";

/** A file whose finish says something. */
const finished = (fields: Partial<SaveHeader>, data: string, finish: Partial<Finish> = {}): Part<SaveHeader> =>
  wholeFile(header(1, fields), data, { sizeBytes: undefined, sha256: undefined, ...finish });

describe("a Save stream refuses one file and goes on", () => {
  const cases: [name: string, reason: string, part: Part<SaveHeader>, message: RegExp][] = [
    ["a name with ../", "INVALID_NAME", finished({ name: "../a" }, "x"), /path separator/],
    ["an empty name", "INVALID_NAME", finished({ name: "" }, "x"), /empty/],
    ["an origin that is none", "INVALID_HEADER", finished({ origin: "ABC" }, "x"), /origin is "ABC"; expected 32/],
    ["number 0", "INVALID_HEADER", { ...finished({}, "x"), header: header(0) }, /request_number is 0/],
    ["an upload id that is no UUID", "INVALID_HEADER", finished({ uploadId: "7" }, "x"), /upload_id is "7"/],
    ["attempt 0", "INVALID_HEADER", finished({ attempt: 0 }, "x"), /attempt is 0/],
    ["a short sha256", "INVALID_HEADER", finished({ sha256: Buffer.alloc(3) }, "x"), /sha256 has 3 bytes/],
    ["an unknown kind", "INVALID_HEADER", finished({ kind: 9 as Kind }, "x"), /kind is 9/],
    ["a short sha256 in finish", "INVALID_HEADER", finished({}, "x", { sha256: Buffer.alloc(3) }), /in finish has 3/],
    [
      "two sizes",
      "INVALID_HEADER",
      finished({ sizeBytes: 1n }, "x", { sizeBytes: 2n }),
      /1 in the header and 2 in finish/,
    ],
    [
      "two digests",
      "INVALID_HEADER",
      finished({ sha256: sha256("x") }, "x", { sha256: sha256("y") }),
      /in the header and [0-9a-f]{64} in finish/,
    ],
    ["a wrong size in the header", "SIZE_MISMATCH", finished({ sizeBytes: 2n }, "x"), /has 1 bytes; 2 were announced/],
    ["a wrong size in finish", "SIZE_MISMATCH", finished({}, "x", { sizeBytes: 2n }), /has 1 bytes; 2/],
    ["a wrong digest in the header", "DIGEST_MISMATCH", finished({ sha256: sha256("y") }, "x"), /SHA-256 is 2d71/],
    ["a wrong digest in finish", "DIGEST_MISMATCH", finished({}, "x", { sha256: sha256("y") }), /SHA-256 is 2d71/],
    ["a wrong crc32c", "CHECKSUM_MISMATCH", { ...finished({}, "x"), crc32c: 5 }, /CRC-32C .* 5 was sent/],
    ["an announced size over the limit", "TOO_LARGE", finished({ sizeBytes: 1_001n }, "x"), /1001 bytes or more/],
    ["a size over the limit", "TOO_LARGE", finished({}, "x".repeat(1_001)), /takes at most 1000/],
    [
      "a document over the limit",
      "TOO_LARGE",
      finished({ kind: Kind.KIND_TEXT_DOCUMENT }, "x".repeat(101)),
      /text document .* at most 100/,
    ],
    [
      "a document that is none",
      "NOT_A_TEXT_DOCUMENT",
      finished({ kind: Kind.KIND_TEXT_DOCUMENT }, "{]"),
      /unexpected "\]" at position 1/,
    ],
  ];
  for (const [name, reason, bad, message] of cases)
    it(name, () =>
      withServer({ maxFileBytes: "1000", maxDocumentBytes: "100" }, async ({ client }, dir) => {
        const stream = new TestStream(client);
        await stream.send(bad, wholeFile(header(2), "good"));
        const number = Number(bad.header?.requestNumber);
        assert.match(await stream.refused(number, `REFUSE_REASON_${reason}` as "REFUSE_REASON_INTERNAL"), message);
        await stream.saved(2);
        await stream.close();
        assert.deepEqual(await storedNames(dir), ["2_a.bin"]);
        assert.deepEqual(await tempNames(dir), []);
      }),
    );

  it("in the middle, and skips what is left of it", () =>
    withServer({ maxFileBytes: "1000" }, async ({ client }, dir) => {
      const stream = new TestStream(client);
      await stream.send({ header: header(1), offset: 0, data: Buffer.alloc(600) });
      await stream.accepted(1);
      await stream.send(part(600, Buffer.alloc(600)));
      await stream.refused(1, "REFUSE_REASON_TOO_LARGE");
      await stream.send(part(1_200, "more"), part(7, "anything", true), {
        header: header(2),
        offset: 0,
        data: Buffer.from("a"),
      });
      await stream.send({ ...part(1, "b"), crc32c: 1 });
      await stream.refused(2, "REFUSE_REASON_CHECKSUM_MISMATCH");
      await stream.send({ header: header(3, { sizeBytes: 2n }), offset: 0, data: Buffer.from("abc") });
      await stream.refused(3, "REFUSE_REASON_SIZE_MISMATCH");
      await stream.close();
      assert.deepEqual(await storedNames(dir), []);
      assert.deepEqual(await tempNames(dir), []);
    }));
});

describe("a Save stream ends with INVALID_ARGUMENT", () => {
  const begun = (): Part<SaveHeader> => ({ header: header(2), offset: 0, data: Buffer.from("ab") });
  const tooMany = Array.from({ length: 65 }, (_, at) => wholeFile(header(10 + at), ""));
  const cases: [name: string, parts: Part<SaveHeader>[], message: RegExp][] = [
    ["on a message without parts", [], /has 0 parts; expected 1 to 64/],
    ["on more than 64 parts", tooMany, /has 65 parts; expected 1 to 64/],
    ["on a gap", [begun(), part(3, "d")], /has offset 3; expected 2/],
    ["on a step back", [begun(), part(0, "a")], /has offset 0; expected 2/],
    ["on a first part that is not the first", [{ ...begun(), offset: 5 }], /has offset 5; expected 0/],
    ["on data after the finish", [wholeFile(header(2), "x"), part(1, "y")], /came after the finish/],
    ["on a header before the finish", [begun(), wholeFile(header(3), "x")], /before the finish of .* request number 2/],
    [
      "on data over 256 KiB",
      [{ ...begun(), data: Buffer.alloc(256 * 1024 + 1) }],
      /262145 bytes of data; expected at most 262144/,
    ],
  ];
  for (const [name, parts, message] of cases)
    it(`${name}, after what was whole is answered`, () =>
      withServer({}, async ({ client }, dir) => {
        const stream = new TestStream(client);
        await stream.send(wholeFile(header(1), "whole"));
        await stream.send(...parts);
        const { code, details } = await stream.ended;
        assert.equal(code, status.INVALID_ARGUMENT);
        assert.match(details, message);
        await stream.saved(1);
        await eventually("the temp file to go", async () => (await tempNames(dir)).length === 0);
        assert.ok((await storedNames(dir)).includes("1_a.bin"));
      }));

  it("on data before any header", () =>
    withServer({}, async ({ client }) => {
      const stream = new TestStream(client);
      await stream.send(part(0, "x"));
      const { code, details } = await stream.ended;
      assert.equal(code, status.INVALID_ARGUMENT);
      assert.match(details, /data came before a header/);
    }));

  it("on bytes that are no message", () =>
    withServer({}, async ({ client }) => {
      const stream = new TestStream(client);
      stream.sendRaw(Buffer.from([0x0a, 0x7f, 0x01]));
      const { code, details } = await stream.ended;
      assert.equal(code, status.INVALID_ARGUMENT);
      assert.match(details, /not a SaveRequest/);
    }));

  it("and others go on", () =>
    withServer({}, async ({ client }) => {
      const bad = new TestStream(client);
      const good = new TestStream(client);
      await good.send({ header: header(1), offset: 0, data: Buffer.from("a") });
      await bad.send(part(0, "x"));
      await bad.ended;
      await good.send(part(1, "b", true));
      await good.saved(1);
      await good.close();
    }));
});
