import assert from "node:assert/strict";
import { type ClaimFacts, claimVerdict, lastFailureOn } from "./claim.js";
import type { AttemptOutcome, AttemptRecord, Receipt } from "./upload.js";

const waiting: ClaimFacts = { state: { kind: "queued" }, attempts: [], suspects: [], claimedBy: undefined };
const attempt = (server: string, outcome?: AttemptOutcome, startedAtMs = 1_000): AttemptRecord => ({
  number: 1,
  server,
  startedAtMs,
  ...(outcome && { outcome }),
});
const receipt = { server: "b" } as Receipt;
const rejection = { reason: "CANCELLED", message: "" } as const;

describe("a claim by server a", () => {
  const cases: [what: string, facts: ClaimFacts | undefined, reachable: string[], room: boolean, verdict: string][] = [
    ["nobody knows the upload", undefined, ["a"], true, "unknown"],
    ["it waits", waiting, ["a"], true, "claimed a"],
    ["it waits, and a has enough", waiting, ["a"], false, "too-many"],
    ["a has it already", { ...waiting, claimedBy: "a" }, ["a"], true, "claimed a"],
    ["a has it already, and enough", { ...waiting, claimedBy: "a" }, ["a"], false, "claimed a"],
    ["b has it", { ...waiting, claimedBy: "b" }, ["a", "b"], true, "claimed-elsewhere b"],
    ["a itself may hold it", { ...waiting, suspects: ["a"] }, ["a"], true, "claimed a"],
    ["b may hold it and can be asked", { ...waiting, suspects: ["b"] }, ["a", "b"], true, "unsettled b"],
    ["b may hold it and cannot be asked", { ...waiting, suspects: ["b"] }, ["a"], true, "claimed a"],
    ["b and a may hold it, b can be asked", { ...waiting, suspects: ["b", "a"] }, ["a", "b"], true, "unsettled b"],
    ["b and c may hold it, b can be asked", { ...waiting, suspects: ["b", "c"] }, ["a", "b"], true, "unsettled b"],
    ["it was refused by b", { ...waiting, attempts: [attempt("b", "refused")] }, ["a", "b"], true, "claimed a"],
    ["it arrives", { ...waiting, state: { kind: "receiving" } }, ["a"], true, "receiving"],
    [
      "it is on its way to b",
      { ...waiting, state: { kind: "dispatching" }, attempts: [attempt("a", "lost"), attempt("b")] },
      ["a", "b"],
      true,
      "dispatching b",
    ],
    [
      "it is on its way to a, by a claim",
      { ...waiting, state: { kind: "dispatching" }, attempts: [attempt("a")], claimedBy: "a" },
      ["a"],
      true,
      "dispatching a",
    ],
    ["b has stored it", { ...waiting, state: { kind: "stored", receipt } }, ["a", "b"], true, "stored b"],
    ["it was given up", { ...waiting, state: { kind: "dead", rejection } }, ["a"], true, "dead"],
  ];
  for (const [what, facts, reachable, room, expected] of cases)
    it(`ends with ${expected} when ${what}`, () => {
      const verdict = claimVerdict("a", facts, (server) => reachable.includes(server), room);
      assert.equal(Object.values(verdict).join(" "), expected);
    });
});

describe("the last failure on server a", () => {
  const cases: [attempts: AttemptRecord[], found: number | undefined][] = [
    [[], undefined],
    [[attempt("b", "lost")], undefined],
    [[attempt("a", "busy")], undefined],
    [[attempt("a")], undefined],
    [[attempt("a", "refused")], 0],
    [[attempt("a", "lost"), attempt("a", "refused"), attempt("b", "lost"), attempt("a", "busy")], 1],
    [[attempt("a", "lost", 400)], undefined],
    [[attempt("a", "lost", 500)], 0],
  ];
  for (const [attempts, found] of cases)
    it(`is ${found} of ${attempts.map(({ server, outcome }) => `${server} ${outcome}`).join(", ") || "none"}`, () => {
      const expected = found === undefined ? undefined : attempts[found];
      assert.equal(lastFailureOn("a", attempts, 500), expected);
    });
});
