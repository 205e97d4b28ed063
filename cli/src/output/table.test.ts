import assert from "node:assert/strict";
import fc from "fast-check";
import { humanBytes, humanDuration } from "./human.js";
import { displayWidth, shorten } from "./table.js";

describe("shorten", () => {
  it("never gives more than the width, and leaves short texts alone", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 1, max: 40 }), (text, width) => {
        const short = shorten(text, width);
        assert.ok(displayWidth(short) <= width);
        if (displayWidth(text) <= width) assert.equal(short, text);
      }),
    );
  });

  it("keeps the beginning and the end", () => {
    assert.equal(shorten("letter-from-the-lighthouse.json", 13), "letter…e.json");
    assert.equal(shorten("漢字漢字漢字.txt", 10), "漢字….txt");
  });
});

describe("human numbers", () => {
  it("change their unit in time", () => {
    assert.deepEqual([0, 1023, 1024, 1_048_575, 1_048_576, 5n * 2n ** 40n].map(humanBytes), [
      "0 B",
      "1023 B",
      "1.0 KiB",
      "1.0 MiB",
      "1.0 MiB",
      "5.0 TiB",
    ]);
    assert.deepEqual([0, 999, 1_000, 99_900, 120_000, 7_200_000, 864_000_000].map(humanDuration), [
      "0 ms",
      "999 ms",
      "1.0 s",
      "99.9 s",
      "2 min",
      "2 h",
      "10 d",
    ]);
  });
});
