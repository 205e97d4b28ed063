import assert from "node:assert/strict";
import { join } from "node:path";
import { maxAuditLineBytes } from "@bilancia/proto/audit-chain";
import fc from "fast-check";
import { UsageError } from "../commands/command-context.js";
import { tempFolder } from "../testing/temp-folder.js";
import { auditLines } from "./audit-lines.js";

async function read(content: string | Buffer): Promise<string[]> {
  const folder = await tempFolder({ audit: content });
  try {
    const lines: string[] = [];
    for await (const { bytes, torn } of auditLines(join(folder.path, "audit")))
      lines.push(`${bytes}${torn ? "…" : ""}`);
    return lines;
  } finally {
    await folder.remove();
  }
}

describe("the lines of an audit file", () => {
  it("are what stands between line ends, across pieces of the file", async () => {
    assert.deepEqual(await read(""), []);
    assert.deepEqual(await read("a\n\nb"), ["a", "", "b…"]);
    const length = fc.nat({ max: 40_000 });
    await fc.assert(
      fc.asyncProperty(fc.array(length, { maxLength: 8 }), async (lengths) => {
        const lines = lengths.map((length, index) => String(index).repeat(length));
        assert.deepEqual(await read(lines.map((line) => `${line}\n`).join("")), lines);
      }),
      { numRuns: 30 },
    );
  });

  it("are cut where they are too long for an entry", async () => {
    const [long, next] = await read(`${"x".repeat(1_000_000)}\nnext\n`);
    assert.equal(long?.length, maxAuditLineBytes + 1);
    assert.equal(next, "next");
  });

  it("cannot be had of a file that is not there, or is a folder", async () => {
    await assert.rejects(auditLines("/nonexistent/audit").next(), UsageError);
    await assert.rejects(auditLines("/").next(), {
      message: "/: it cannot be read: it is a folder; expected the balancer's audit file (--audit FILE)",
    });
  });
});
