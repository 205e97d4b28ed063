import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { contractFingerprint, contractReference } from "./reference.js";
import { tableCells } from "./table-cells.js";

const document = new URL("../../docs/reference.md", import.meta.url);
const changelog = new URL("../CHANGELOG.md", import.meta.url);
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

  it("says of every rpc how long it may take, what may be repeated, how it ends, how large it is and what holds a stream up", () => {
    const rpcs = contractReference(readFileSync(descriptors))
      .split(/^####? /m)
      .filter((section) => section.includes(") → "));
    assert.ok(rpcs.length >= 22, `${rpcs.length} rpcs`);
    for (const rpc of rpcs) {
      const said = [...rpc.matchAll(/^- ([A-Z][a-z ]+): \S/gm)].map(([, word]) => word);
      const expected = ["Deadline", "Retry", "Status", "Size", ...(rpc.includes("stream ") ? ["Flow control"] : [])];
      assert.deepEqual(said, expected, rpc);
    }
  });

  it("has an entry in the changelog for what it is now", () => {
    const said = /^Fingerprint: `(\w+)`$/m.exec(readFileSync(changelog, "utf8"))?.[1];
    const message = "the contract has changed: say how in proto/CHANGELOG.md, and write down its new fingerprint";
    assert.equal(said, contractFingerprint(readFileSync(descriptors)), message);
  });
});
