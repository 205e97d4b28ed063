import assert from "node:assert/strict";
import { Kind } from "./gen/bilancia/v1/storage.js";
import { type DescribedFile, headerProblem, isUuid } from "./header-rules.js";

const plain: DescribedFile = { contentType: "application/json", kind: Kind.KIND_BINARY, labels: {} };
const labels = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, "v"]));

describe("headerProblem", () => {
  const good: Partial<DescribedFile>[] = [
    {},
    { sizeBytes: 0n },
    { sizeBytes: 9_007_199_254_740_991n },
    { sha256: new Uint8Array(32) },
    { contentType: "x".repeat(128) },
    { kind: Kind.KIND_UNSPECIFIED },
    { labels: labels(16) },
    { labels: { ["k".repeat(64)]: "v".repeat(256), empty: "" } },
  ];
  for (const [index, fields] of good.entries()) {
    it(`takes good header ${index}`, () => assert.equal(headerProblem({ ...plain, ...fields }), undefined));
  }

  const bad: [Partial<DescribedFile>, RegExp][] = [
    [{ sizeBytes: 9_007_199_254_740_992n }, /^size_bytes is 9007199254740992; expected at most 9007199254740991$/],
    [{ sha256: new Uint8Array(31) }, /^sha256 has 31 bytes; expected 32$/],
    [{ sha256: new Uint8Array(0) }, /^sha256 has 0 bytes; expected 32$/],
    [{ contentType: "é".repeat(65) }, /^content_type has 130 bytes; expected at most 128$/],
    [{ kind: 3 as Kind }, /^kind is 3; expected KIND_TEXT_DOCUMENT/],
    [{ kind: -1 as Kind }, /^kind is -1/],
    [{ labels: labels(17) }, /^there are 17 labels; expected at most 16$/],
    [{ labels: { "": "v" } }, /a key of 0 bytes; expected 1 to 64$/],
    [{ labels: { ["é".repeat(33)]: "v" } }, /a key of 66 bytes/],
    [{ labels: { k: "v".repeat(257) } }, /^the label "k" has a value of 257 bytes; expected at most 256$/],
  ];
  for (const [fields, problem] of bad) {
    it(`refuses ${problem.source}`, () => assert.match(headerProblem({ ...plain, ...fields }) ?? "", problem));
  }
});

describe("isUuid", () => {
  for (const [text, expected] of [
    ["6f1c2a90-3f1e-4f6e-9c0a-1b2c3d4e5f60", true],
    ["6F1C2A90-3F1E-4F6E-9C0A-1B2C3D4E5F60", true],
    ["00000000-0000-0000-0000-000000000000", true],
    ["6f1c2a903f1e4f6e9c0a1b2c3d4e5f60", false],
    ["{6f1c2a90-3f1e-4f6e-9c0a-1b2c3d4e5f60}", false],
    ["6f1c2a90-3f1e-4f6e-9c0a-1b2c3d4e5f60\n", false],
    ["6f1c2a90-3f1e-4f6e-9c0a-1b2c3d4e5f6g", false],
    ["", false],
  ] as const) {
    it(`says ${expected} to ${JSON.stringify(text)}`, () => assert.equal(isUuid(text), expected));
  }
});
