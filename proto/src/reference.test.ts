import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { contractReference } from "./reference.js";
import { tableCells } from "./table-cells.js";

const document = new URL("../../docs/reference.md", import.meta.url);
const descriptors = new URL("../dist/bilancia.binpb", import.meta.url);

describe("the contract's reference", () => {
  it("is what the comments of the .proto files say, and leaves out nothing", () => {
    const expected = contractReference(readFileSync(descriptors));
    if (process.env.UPDATE_REFERENCE) writeFileSync(document, expected);
    else
      assert.equal(
        tableCells(readFileSync(document, "utf8")).trim(),
        tableCells(expected).trim(),
        "run UPDATE_REFERENCE=1 npm test && npm run format",
      );
    // Every row has a meaning, that is, every field and every value a comment.
    assert.doesNotMatch(expected, /\| {2}\|$/m);
    for (const name of ["Balancer.UploadFile", "Storage.Save", "Registry.Announce", "Admin."])
      assert.ok(expected.includes(`#### ${name}`), name);
  });
});
