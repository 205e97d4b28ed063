import assert from "node:assert/strict";
import { statusText } from "./status-text.js";

describe("the details of a call that fails", () => {
  it("are what was said, as long as that can be sent", () => {
    for (const text of ["", "INVALID_NAME: »ä😀«", "x".repeat(4_000)]) assert.equal(statusText(text), text);
  });

  it("are cut to what fits into trailers", () => {
    const text = statusText("€".repeat(900_000));
    assert.equal(text.length, 4_000);
    assert.ok(text.endsWith("€…"));
    assert.ok(encodeURI(text).length < 64 * 1024);
  });

  it("hold no half of a pair, wherever they were cut", () => {
    assert.equal(statusText("came \ud83d"), "came \ufffd");
    assert.equal(encodeURI(statusText("😀".repeat(4_000))).includes("%EF%BF%BD%E2%80%A6"), true);
  });
});
