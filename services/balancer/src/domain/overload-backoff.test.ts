import assert from "node:assert/strict";
import fc from "fast-check";
import { OverloadBackoff } from "./overload-backoff.js";

/** `!` is an overload, a number so many answers. */
function after(max: number, steps: string): number {
  const limit = new OverloadBackoff(max);
  for (const step of steps.split(" ").filter(Boolean)) {
    if (step === "!") limit.overloaded();
    else for (let answer = 0; answer < Number(step); answer++) limit.answered();
  }
  return limit.files;
}

describe("the limit of a server that may be overloaded", () => {
  for (const [what, max, steps, expected] of [
    ["all that are allowed, while it never was", 1_024, "5000", 1_024],
    ["half after an overload", 1_024, "!", 512],
    ["one more with each answer", 1_024, "! 10", 522],
    ["never more than allowed", 1_024, "! 5000", 1_024],
    ["never less than a few", 1_024, "! ! ! ! ! ! ! ! ! !", 16],
    ["never more than allowed, where that is less than a few", 4, "! !", 4],
    ["what it finishes in between, when it flaps", 1_024, "! 200 ".repeat(20), 400],
  ] as const)
    it(`golden table: ${what}`, () => assert.equal(after(max, steps), expected));

  it("stays within its bounds, and comes back (property)", () => {
    const step = fc.oneof(fc.constant("!"), fc.nat(300).map(String));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2_000 }), fc.array(step), (max, steps) => {
        const files = after(max, steps.join(" "));
        assert.ok(files >= Math.min(16, max) && files <= max);
        assert.equal(after(max, `${steps.join(" ")} ${max}`), max);
      }),
    );
  });
});
