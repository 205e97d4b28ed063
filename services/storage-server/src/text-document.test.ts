import assert from "node:assert/strict";
import fc from "fast-check";
import { jsonErrorPosition } from "./json-error.js";
import { jsonExtent } from "./json-extent.js";
import { Refusal } from "./refusal.js";
import { readTextDocument } from "./text-document.js";

const problemOf = (bytes: string | Buffer): string => {
  try {
    readTextDocument([Buffer.from(bytes)]);
  } catch (error) {
    assert.ok(error instanceof Refusal);
    return error.message;
  }
  return assert.fail("expected a refusal");
};

/** A document with another field, whose value is given as JSON. */
const withField = (json: string) => `{"title":"","content":"","more":${json}}`;
const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
const list = (valuesCount: number) => `[${Array.from({ length: valuesCount }, () => "{}").join(",")}]`;

/** What `jsonExtent` finds, from the value itself. */
function extentOf(value: unknown): { depth: number; valuesCount: number } {
  if (typeof value !== "object" || value === null) return { depth: 0, valuesCount: 1 };
  const inner = Object.values(value).map(extentOf);
  return {
    depth: 1 + Math.max(0, ...inner.map(({ depth }) => depth)),
    valuesCount: 1 + inner.reduce((sum, { valuesCount }) => sum + valuesCount, 0),
  };
}

describe("text document", () => {
  it("counts letters a and A, and code points", () => {
    const document = Buffer.from(JSON.stringify({ title: "aaa", content: "Abaco à 🍋a" }));
    assert.deepEqual(readTextDocument([document]), { lettersA: 3, characters: 10 });
  });

  it("reads the Italian names, an empty content and other fields", () => {
    assert.deepEqual(readTextDocument([Buffer.from('{"titolo":"","contenuto":"","n":1}')]), {
      lettersA: 0,
      characters: 0,
    });
  });

  it("counts alike however the bytes are cut", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.nat(), (content, cut) => {
        const bytes = Buffer.from(JSON.stringify({ title: "t", content }));
        const at = cut % bytes.length;
        const stats = readTextDocument([bytes.subarray(0, at), bytes.subarray(at)]);
        assert.equal(stats.characters, [...content].length);
        assert.equal(stats.lettersA, [...content].filter((character) => "aA".includes(character)).length);
      }),
    );
  });

  it("says why something is no document", () => {
    assert.match(problemOf(Buffer.from([0x7b, 0xff])), /not valid UTF-8/);
    assert.match(problemOf(""), /not JSON: it is empty/);
    assert.match(problemOf('{"title":\n x}'), /unexpected "x" at position 11 \(line 2, column 2\)/);
    assert.match(problemOf('{"title":"t"'), /ends too early, at position 12/);
    assert.match(problemOf("[]"), /an array, not a JSON object/);
    assert.match(problemOf("null"), /null, not a JSON object/);
    assert.match(problemOf('{"title":"t"}'), /no "content" \(nor "contenuto"\)/);
    assert.match(problemOf('{"content":"t"}'), /no "title" \(nor "titolo"\)/);
    assert.match(problemOf('{"title":"t","content":7}'), /"content" is a number, not a string/);
  });

  it("refuses what is nested too deep, or has too many values, and takes what is just within", () => {
    const none = { lettersA: 0, characters: 0 };
    assert.deepEqual(readTextDocument([Buffer.from(withField(nested(999)))]), none);
    assert.equal(
      problemOf(withField(nested(1_000))),
      "not a text document: it is nested 1001 deep; expected at most 1000",
    );
    // The document itself, its two strings, and the list are four.
    assert.deepEqual(readTextDocument([Buffer.from(withField(list(999_996)))]), none);
    assert.equal(
      problemOf(withField(list(999_997))),
      "not a text document: it has 1000001 values; expected at most 1000000",
    );
  });

  it("refuses for its limits also what is no JSON, without reading it", () => {
    assert.match(problemOf("[".repeat(2 ** 24)), /nested 16777216 deep/);
    assert.match(problemOf("{},".repeat(5_000_000)), /has 5000001 values/);
  });

  it("counts nothing inside of strings towards the limits", () => {
    const content = '[{,}]\\"'.repeat(400_000);
    const { characters } = readTextDocument([Buffer.from(JSON.stringify({ title: content, content }))]);
    assert.equal(characters, content.length);
  });

  it("finds out how deep and how many the values of any JSON are", () => {
    const syntax = fc.string({ unit: fc.constantFrom(...'[]{},:"\\ \na\u{1f34b}') });
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 6 },
        fc.jsonValue(),
        syntax,
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(syntax, tie("value"), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(value, fc.constantFrom("", "\t", "  ", "\r\n "), (any, space) => {
        const json = JSON.stringify(any, null, space.replace("\r\n", ""));
        assert.deepEqual(jsonExtent(space + json + space), extentOf(JSON.parse(json)));
      }),
    );
  });

  it("finds the place where any damaged JSON goes wrong", () => {
    const places: [text: string, position: number][] = [
      ["[1,]", 3],
      ['{"a":1,}', 7],
      ['{"a" 1}', 5],
      ["[1 2]", 3],
      ["truth", 0],
      ["01", 1],
      ['"a\nb"', 2],
      ['"\\x"', 2],
      ["{}}", 2],
      ["[}", 1],
    ];
    for (const [text, position] of places) {
      assert.throws(() => JSON.parse(text), text);
      assert.equal(jsonErrorPosition(text), position, text);
    }
  });

  it("finds that a cut JSON goes wrong at its end, and never before the damage", () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), (json, cut) => {
        const text = json.slice(0, cut % json.length);
        // A number is cut to a number, or to something like `-` or `1.` whose mistake is where it begins.
        if (/[0-9.eE+-]$/.test(text) || /[a-z]$/.test(text)) return;
        assert.equal(jsonErrorPosition(text), text.length);
      }),
    );
  });
});
