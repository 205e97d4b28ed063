import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { tableCells } from "@bilancia/proto/table-cells";
import { z } from "zod";
import { configSchema } from "./config-schema.js";

const readme = new URL("../../../README.md", import.meta.url);
const block = /(<!-- settings:.*-->\n)[\s\S]*(<!-- end of settings -->)/;

/** One row of the table for each setting, from the schema's own descriptions and defaults. */
function rows(schema: z.ZodObject, defaults: Record<string, unknown>, prefix: string): string[] {
  return Object.entries(schema.shape).flatMap(([key, field]) => {
    const path = `${prefix}${key}`;
    const inner = field instanceof z.ZodPrefault ? field.unwrap() : field;
    if (inner instanceof z.ZodObject) return rows(inner, defaults[key] as Record<string, unknown>, `${path}.`);
    assert.ok(z.globalRegistry.get(field as z.ZodType)?.description, `${path} has no description`);
    const value = key === "servers" ? "" : `\`${JSON.stringify(defaults[key])}\``;
    return [`| \`${path}\` | ${value} | ${z.globalRegistry.get(field as z.ZodType)?.description} |`];
  });
}

describe("the README's table of settings", () => {
  it("is what the configuration's schema says", () => {
    const servers = [{ name: "storage-1", address: "127.0.0.1:50061" }];
    const defaults = configSchema.parse({ servers });
    const table = ["| key | default | meaning |", "| --- | --- | --- |", ...rows(configSchema, defaults, "")].join(
      "\n",
    );
    const text = readFileSync(readme, "utf8");
    const expected = text.replace(block, `$1\n${table}\n\n$2`);
    if (process.env.UPDATE_README) writeFileSync(readme, expected);
    else assert.equal(tableCells(text), tableCells(expected), "run UPDATE_README=1 npm test && npm run format");
  });
});
