import assert from "node:assert/strict";
import fc from "fast-check";
import { jsonErrorPosition } from "./json-error.js";
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
