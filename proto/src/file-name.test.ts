import assert from "node:assert/strict";
import fc from "fast-check";
import { fileNameProblem } from "./file-name.js";

const good = [
  "a",
  "report.json",
  "zwei Wörter.txt",
  "名前.json",
  "emoji-😀.bin",
  "a.b.c",
  "console.log",
  "com10",
  "nulls",
  "semi;colon",
  "a".repeat(200),
  "é".repeat(100),
];

const bad: [string, RegExp][] = [
  ["", /is empty; expected 1 to 200 bytes/],
  ["a".repeat(201), /has 201 bytes of UTF-8; expected at most 200/],
  ["é".repeat(101), /has 202 bytes/],
  ["../passwd", /path separator/],
  ["..\\passwd", /path separator/],
  ["/etc", /path separator/],
  ["a/b", /path separator/],
  [".", /begins with a dot/],
  ["..", /begins with a dot/],
  [".hidden", /begins with a dot/],
  ["-rf", /begins with a hyphen/],
  ["a\0b", /control character/],
  ["a\nb", /control character/],
  ["a\u007fb", /control character/],
  ["a\u0085b", /control character/],
  ["a\u2028b", /control character/],
  ["a\u202enosj.exe", /bidirectional/],
  ["a\u200fb", /bidirectional/],
  ["a\u2066b", /bidirectional/],
  ["a\u061cb", /bidirectional/],
  ["CON", /device name/],
  ["nul.txt", /device name/],
  ["Com1.tar.gz", /device name/],
  ["lpt³", /device name/],
  ["ends.", /ends with a dot/],
  ["ends ", /ends with a dot or a blank/],
  ["e\u0301", /NFC/],
  ["\ud800", /not valid Unicode/],
  ["\udc00x", /not valid Unicode/],
];

describe("fileNameProblem", () => {
  for (const name of good) {
    it(`takes ${JSON.stringify(name.slice(0, 30))}`, () => assert.equal(fileNameProblem(name), undefined));
  }

  for (const [name, problem] of bad) {
    it(`refuses ${JSON.stringify(name.slice(0, 30))}`, () => assert.match(fileNameProblem(name) ?? "", problem));
  }

  it("lets nothing through that leaves its folder, whatever the text", () => {
    const risky = fc.string({ unit: fc.constantFrom("/", "\\", ".", "\0", "a", "\u202e", "-", " "), maxLength: 8 });
    fc.assert(
      fc.property(risky, (name) => {
        if (fileNameProblem(name) === undefined) assert.match(name, /^[a ][^/\\\0\u202e]*$/);
      }),
    );
  });

  it("shows the name on one line, without control characters", () => {
    const shown = fileNameProblem(`a\n\u001b[31m${"x".repeat(100)}`) ?? "";
    assert.ok(!shown.includes("\n") && !shown.includes("\u001b"), shown);
    assert.ok(shown.length < 200, shown);
  });
});
