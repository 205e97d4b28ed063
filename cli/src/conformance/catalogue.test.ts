import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { tableCells } from "@bilancia/proto/table-cells";
import { balancerKit } from "./balancer/catalogue.js";
import type { Check, Kit } from "./check.js";
import type { Probe } from "./probe.js";
import { storageKit } from "./storage/catalogue.js";

const document = new URL("../../../docs/conformance.md", import.meta.url);

const kits: readonly Kit[] = [storageKit, balancerKit];

for (const { subject, checks } of kits) {
  describe(`the conformance checks of ${subject}`, () => {
    it("have names of their own, subject and what", () => {
      const names = checks.map(({ name }) => name);
      assert.equal(new Set(names).size, names.length);
      for (const name of names) assert.match(name, /^[a-z]+\.[a-z0-9-]+$/);
    });

    it("are those of docs/conformance.md", () => {
      const block = new RegExp(`(<!-- checks of ${subject}:.*-->\\n)[^]*?(<!-- end of checks -->)`);
      const table = ["| check | level | what the contract says |", "| --- | --- | --- |", ...checks.map(row)].join(
        "\n",
      );
      const text = readFileSync(document, "utf8");
      assert.match(text, block);
      const expected = text.replace(block, (_all, begin: string, end: string) => `${begin}\n${table}\n\n${end}`);
      if (process.env.UPDATE_DOCS) writeFileSync(document, expected);
      else assert.equal(tableCells(text), tableCells(expected), "run UPDATE_DOCS=1 npm test && npm run format");
    });
  });
}

function row({ name, level, rule, needs }: Check<Probe>): string {
  return `| \`${name}\` | ${level}${needs ? `, \`--${needs}\`` : ""} | ${rule} |`;
}
