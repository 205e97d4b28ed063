import assert from "node:assert/strict";
import fc from "fast-check";
import { decideRetry, type Failure } from "./retry.js";

const policy = { maxAttempts: 10, deadlineMs: 60_000, baseDelayMs: 50, maxDelayMs: 1_000 };
const lost: Failure = { kind: "lost", message: "the connection broke" };
const refused: Failure = { kind: "refused", message: "disk full" };
const almostOne = () => 1 - Number.EPSILON;

describe("decideRetry", () => {
  it("doubles the bound of the delay with each failure, up to the largest", () => {
    const bounds = [1, 2, 3, 4, 5, 6, 7, 9].map((failures) => decideRetry(lost, failures, 0, policy, almostOne));
    assert.deepEqual(
      bounds.map((decision) => decision.kind === "again" && decision.delayMs),
      [49, 99, 199, 399, 799, 999, 999, 999],
    );
    assert.deepEqual(
      decideRetry(refused, 5, 0, policy, () => 0),
      { kind: "again", delayMs: 0 },
    );
  });

  it("keeps every delay a whole number from 0 up to its bound (property)", () => {
    const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(chance, fc.integer({ min: 1, max: 999 }), (random, failures) => {
        const decision = decideRetry(lost, failures, 0, { ...policy, maxAttempts: 1_000 }, () => random);
        assert.ok(decision.kind === "again" && Number.isInteger(decision.delayMs));
        assert.ok(decision.delayMs >= 0 && decision.delayMs < Math.min(1_000, 50 * 2 ** (failures - 1)));
      }),
    );
  });

  it("gives up at the last attempt, and says after how many and why", () => {
    assert.equal(decideRetry(lost, 9, 0, policy, almostOne).kind, "again");
    assert.deepEqual(decideRetry(lost, 10, 0, policy, almostOne), {
      kind: "give-up",
      rejection: {
        reason: "ATTEMPTS_EXHAUSTED",
        message: "not delivered after 10 attempts; last: the connection broke",
      },
    });
  });

  it("gives up at the deadline, busy or not", () => {
    assert.equal(decideRetry(refused, 1, 59_999, policy, almostOne).kind, "again");
    for (const [failure, why] of [
      [refused, "disk full"],
      [{ kind: "busy" }, "the server was busy"],
    ] as [Failure, string][]) {
      assert.deepEqual(decideRetry(failure, 1, 60_000, policy, almostOne), {
        kind: "give-up",
        rejection: { reason: "DEADLINE_EXCEEDED", message: `not delivered within 60000 ms; last: ${why}` },
      });
    }
  });

  it("tries again at once after busy, which counts for nothing", () => {
    assert.deepEqual(decideRetry({ kind: "busy" }, 500, 0, policy, almostOne), { kind: "again", delayMs: 0 });
  });

  it("passes the reason on at once when the file itself is at fault", () => {
    const rejection = { reason: "DIGEST_MISMATCH", message: "another digest" } as const;
    const decision = decideRetry({ kind: "unacceptable", rejection }, 1, 0, policy, almostOne);
    assert.deepEqual(decision, { kind: "give-up", rejection });
  });
});
