import assert from "node:assert/strict";
import { pickOf } from "../test-support/pick-of.js";
import { readTraceLine, tracedEnd, tracedPick } from "./pick-trace.js";

describe("a line of the trace of choices", () => {
  it("is read as it was written", () => {
    const pick = tracedPick(pickOf(2n ** 63n, 3));
    assert.deepEqual(readTraceLine(JSON.stringify(pick)), JSON.parse(JSON.stringify(pick)));
    const urgent = tracedPick({ ...pickOf(1n), priority: "high" });
    assert.deepEqual(readTraceLine(JSON.stringify(urgent)), JSON.parse(JSON.stringify(urgent)));
    assert.equal(urgent.priority, "high");
    const end = tracedEnd({ requestNumber: 7n, attempt: 1, outcome: "lost", sizeBytes: undefined, atMs: 5 });
    assert.deepEqual(readTraceLine(JSON.stringify(end)), JSON.parse(JSON.stringify(end)));
    assert.deepEqual(readTraceLine('{"kind":"gap","lines":3}'), { kind: "gap", lines: 3 });
  });

  const good = JSON.parse(JSON.stringify(tracedPick(pickOf(1n)))) as Record<string, unknown>;
  const changed = (changes: Record<string, unknown>) => JSON.stringify({ ...good, ...changes });
  const table: [string, string, string][] = [
    ["is cut off", '{"kind":"pi', "expected a JSON object"],
    ["is no object", "null", 'expected "kind" to be one of pick, end, gap'],
    ["is of another kind", '{"kind":"toString"}', 'expected "kind" to be one of pick, end, gap'],
    ["lacks a field", changed({ atMs: undefined }), 'expected "atMs" to be a number; came undefined'],
    ["has a field of another type", changed({ requestNumber: 1 }), 'expected "requestNumber" to be a string; came 1'],
    [
      "has a policy that nobody knows",
      changed({ policy: "random" }),
      'expected "policy" to be one of weighted_round_robin, byte_weighted, least_load',
    ],
    [
      "has a priority that nobody knows",
      changed({ priority: "urgent" }),
      'expected "priority" to be one of high, normal, low',
    ],
    ["has no servers", changed({ servers: {} }), 'expected "servers" to be a list'],
    ["has a server that is none", changed({ servers: [3] }), "expected a server to be an object"],
    ["has half a server", changed({ servers: [{ server: "a" }] }), 'expected "state" to be a string; came undefined'],
  ];
  for (const [title, text, problem] of table)
    it(`is refused that ${title}`, () => assert.deepEqual(readTraceLine(text), { kind: "unreadable", problem }));
});
