import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { tableCells } from "@bilancia/proto/table-cells";
import { type Config, configSchema } from "./config-schema.js";
import { settings } from "./settings.js";

const readme = new URL("../../../README.md", import.meta.url);
const block = /(<!-- settings:.*-->\n)[\s\S]*(<!-- end of settings -->)/;

/** One row of the table for each setting, from the schema's own descriptions and defaults. */
function rows(defaults: Config): string[] {
  return settings.map(({ key, description, needsRestart, valueIn }) => {
    assert.ok(description, `${key} has no description`);
    const value = key === "servers" ? "" : `\`${JSON.stringify(valueIn(defaults))}\``;
    return `| \`${key}\` | ${value} | ${needsRestart ? "restart" : "at once"} | ${description} |`;
  });
}

describe("the README's table of settings", () => {
  it("is what the configuration's schema says", () => {
    const servers = [{ name: "storage-1", address: "127.0.0.1:50061" }];
    const defaults = configSchema.parse({ servers });
    const head = ["| key | default | a change is in force | meaning |", "| --- | --- | --- | --- |"];
    const table = [...head, ...rows(defaults)].join("\n");
    const text = readFileSync(readme, "utf8");
    const expected = text.replace(block, `$1\n${table}\n\n$2`);
    if (process.env.UPDATE_README) writeFileSync(readme, expected);
    else assert.equal(tableCells(text), tableCells(expected), "run UPDATE_README=1 npm test && npm run format");
  });
});
