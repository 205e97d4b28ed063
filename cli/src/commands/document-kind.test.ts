import assert from "node:assert/strict";
import { join } from "node:path";
import { tempFolder } from "../testing/temp-folder.js";
import { kindByContent } from "./document-kind.js";

const nested = (depth: number) =>
  `{"title":"t","content":"[[\\"{","more":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
const ofSize = (bytes: number) => {
  const rest = '{"title":"","content":""}';
  return `{"title":"","content":"${"x".repeat(bytes - rest.length)}"}`;
};

describe("the kind of a file, by its name and content", () => {
  const table: [what: string, content: string | Buffer, expected: "text" | "binary"][] = [
    ["a title and a content", '{"title":"t","content":"c"}', "text"],
    ["Italian names", '{"titolo":"t","contenuto":"c"}', "text"],
    ["a name of each language", '{"title":"t","contenuto":"c"}', "text"],
    ["empty strings", '{"title":"","content":""}', "text"],
    ["other fields, too", '{"more":[1,{"a":null}],"title":"t","content":"c"}', "text"],
    ["an English and an Italian name", '{"titolo":1,"title":"t","contenuto":null,"content":"c"}', "text"],
    ["UTF-8 of more than a byte", '{"title":"caff\u00e8","content":"\u{1f34c}"}', "text"],
    ["a byte order mark", '\ufeff{"title":"t","content":"c"}', "text"],
    ["an escape that is half a character", '{"title":"\\ud83c","content":"c"}', "text"],
    ["Latin-1", Buffer.from('{"title":"caf\u00e9","content":"b"}', "latin1"), "binary"],
    ["UTF-16", Buffer.from('\ufeff{"title":"t","content":"c"}', "utf16le"), "binary"],
    ["a character that is cut", Buffer.from('{"title":"t","content":"\u00e9"}').subarray(0, -3), "binary"],
    ["null for a title", '{"title":null,"titolo":"a","content":"b"}', "binary"],
    ["null for a content", '{"title":"a","content":null,"contenuto":"b"}', "binary"],
    ["a number for a title", '{"title":1,"content":"c"}', "binary"],
    ["no content", '{"title":"t"}', "binary"],
    ["no title", '{"content":"c"}', "binary"],
    ["names that are inherited only", '{"__proto__":{"title":"t","content":"c"}}', "binary"],
    ["an array", '["title","content"]', "binary"],
    ["a document in an array", '[{"title":"t","content":"c"}]', "binary"],
    ["null", "null", "binary"],
    ["a string", '"title"', "binary"],
    ["no JSON", "title: t", "binary"],
    ["nothing", "", "binary"],
    ["1,000 levels", nested(1_000), "text"],
    ["1,001 levels", nested(1_001), "binary"],
    ["1,001 levels under a key that comes again", `{"a":${nested(1_000)},"a":1,"title":"t","content":"c"}`, "binary"],
    ["1 MiB", ofSize(1024 * 1024), "text"],
    ["a byte over 1 MiB", ofSize(1024 * 1024 + 1), "binary"],
  ];
  for (const [what, content, expected] of table)
    it(`${what}: ${expected}`, async () => {
      const folder = await tempFolder({ "f.json": content });
      try {
        const path = join(folder.path, "f.json");
        assert.equal(await kindByContent(path, "f.json", Buffer.byteLength(content)), expected);
      } finally {
        await folder.remove();
      }
    });

  it("heeds the name, and is binary for what cannot be read", async () => {
    const folder = await tempFolder({ f: '{"title":"t","content":"c"}' });
    try {
      const path = join(folder.path, "f");
      assert.equal(await kindByContent(path, "F.JSON", 27), "text");
      assert.equal(await kindByContent(path, "f.txt", 27), "binary");
      assert.equal(await kindByContent(join(folder.path, "nothing.json"), "nothing.json", 27), "binary");
    } finally {
      await folder.remove();
    }
  });
});
