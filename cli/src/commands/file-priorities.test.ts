import assert from "node:assert/strict";
import { FilePriorities } from "./file-priorities.js";

describe("the priorities of files, by their names", () => {
  const table: [string[], string, string][] = [
    [[], "a.log", "normal"],
    [["low"], "a.log", "low"],
    [["*.log=low"], "a.log", "low"],
    [["*.log=low"], "a.logs", "normal"],
    [["*.log=low"], "axlog", "normal"],
    [["?.log=high"], "ab.log", "normal"],
    [["?.log=high"], "😀.log", "high"],
    [["low", "a*=high"], "a.log", "high"],
    [["a*=high", "low"], "a.log", "low"],
    [["a=b=high"], "a=b", "high"],
    [["(a|b)[0]$^+{1}\\=high"], "(a|b)[0]$^+{1}\\", "high"],
  ];
  for (const [options, name, expected] of table)
    it(`${options.join(" ") || "none"}: ${name} is ${expected}`, () => {
      const priorities = options.reduce((before, text) => before.with(text), new FilePriorities());
      assert.equal(priorities.of(name), expected);
    });

  for (const text of ["", "High", "urgent", "=low", "*.log=", "*.log=urgent"])
    it(`refuses '${text}'`, () =>
      assert.throws(() => new FilePriorities().with(text), {
        message: `expected low, normal or high, or PATTERN=LEVEL, for example '*.log=low'; got '${text}'`,
      }));
});
