import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { tableCells } from "@bilancia/proto/table-cells";
import { storageChecks } from "./catalogue.js";

const document = new URL("../../../docs/conformance.md", import.meta.url);
const block = /(<!-- checks:.*-->\n)[\s\S]*(<!-- end of checks -->)/;

describe("the conformance checks", () => {
  it("have names of their own, subject and what", () => {
    const names = storageChecks.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    for (const name of names) assert.match(name, /^[a-z]+\.[a-z0-9-]+$/);
  });

  it("are those of docs/conformance.md", () => {
    const rows = storageChecks.map(
      ({ name, level, rule, needs }) => `| \`${name}\` | ${level}${needs ? `, \`--${needs}\`` : ""} | ${rule} |`,
    );
    const table = ["| check | level | what the contract says |", "| --- | --- | --- |", ...rows].join("\n");
    const text = readFileSync(document, "utf8");
    assert.match(text, block);
    const expected = text.replace(block, (_all, begin: string, end: string) => `${begin}\n${table}\n\n${end}`);
    if (process.env.UPDATE_DOCS) writeFileSync(document, expected);
    else assert.equal(tableCells(text), tableCells(expected), "run UPDATE_DOCS=1 npm test && npm run format");
  });
});
