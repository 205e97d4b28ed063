import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fillIn, findProgram } from "./peers.js";

describe("the peers' configurations", () => {
  const values = { listen: "127.0.0.1:1", dir: "/tmp/x", servers: "the servers", cores: "2" };

  for (const name of ["nginx.conf", "haproxy.cfg"])
    it(`${name} has a place for all that differs, and no other`, () => {
      const template = readFileSync(new URL(`../../peers/${name}`, import.meta.url), "utf8");
      const config = fillIn(template, values);
      assert.ok(config.includes("127.0.0.1:1") && config.includes("the servers"));
      assert.ok(!/\{\{\w/.test(config));
    });

  it("says which value is missing", () => assert.throws(() => fillIn("a {{port}}", {}), /\{\{port\}\}/));
});

describe("looking for a peer", () => {
  it("finds programs that are there, and no others", () => {
    assert.match(findProgram("node") ?? "", /node$/);
    assert.equal(findProgram("no-such-program-anywhere"), undefined);
  });
});
