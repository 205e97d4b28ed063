import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { RejectReason } from "@bilancia/proto/gen/balancer";
import { status } from "@grpc/grpc-js";
import { rejectReasons } from "./errors.js";

const prefix = "REJECT_REASON_";
const page = new URL("../../../../docs/errors.md", import.meta.url);

/** The rows of the page's table whose first cell is a reason in backticks. */
function documented(): { reason: string; code: string; retryable: boolean; meaning: string }[] {
  return readFileSync(page, "utf8")
    .split("\n")
    .map((line) => line.split("|").map((cell) => cell.trim()))
    .filter(([, reason = "", code]) => /^`[A-Z_]+`$/.test(reason) && code !== undefined)
    .map(([, reason = "", code = "", retryable = "", meaning = ""]) => {
      assert.match(retryable, /^(yes|no)$/, `${reason}: expected yes or no in the column 'retryable'`);
      return { reason: reason.slice(1, -1), code: code.replaceAll("`", ""), retryable: retryable === "yes", meaning };
    });
}

describe("the catalogue of errors", () => {
  it("has the reasons of the contract, no more and no fewer", () => {
    const contract = Object.keys(RejectReason)
      .filter((name) => name.startsWith(prefix) && name !== `${prefix}UNSPECIFIED`)
      .map((name) => name.slice(prefix.length));
    assert.deepEqual(Object.keys(rejectReasons).sort(), contract.sort());
  });

  it("uses status codes that gRPC knows", () => {
    for (const { code } of Object.values(rejectReasons)) assert.equal(typeof status[code], "number");
  });

  it("is what docs/errors.md says", () => {
    const rows = documented();
    assert.deepEqual(
      rows.map(({ reason, code, retryable }) => ({ reason, code, retryable })).sort(byReason),
      Object.entries(rejectReasons)
        .map(([reason, { code, retryable }]) => ({ reason, code, retryable }))
        .sort(byReason),
    );
    for (const { reason, meaning } of rows) assert.notEqual(meaning, "", `${reason} has no meaning`);
  });
});

function byReason(a: { reason: string }, b: { reason: string }): number {
  return a.reason < b.reason ? -1 : 1;
}
