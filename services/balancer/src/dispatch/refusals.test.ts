import assert from "node:assert/strict";
import { shortened } from "./refusals.js";

describe("what a server says", () => {
  it("is kept as it is, up to 500 characters", () => {
    assert.equal(shortened("the disk is full"), "the disk is full");
    assert.equal(shortened("x".repeat(500)), "x".repeat(500));
    assert.equal(shortened("x".repeat(1_000_000)), `${"x".repeat(500)}…`);
  });
});
