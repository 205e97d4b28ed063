import assert from "node:assert/strict";
import fc from "fast-check";
import { changesAfter, type Member, type MembershipChange, withChanges } from "./membership.js";
import type { ServerEntry } from "./server-entry.js";

/** `a5` is the server a with the weight 5, at the address h:a; `a5@x` at h:x; `a5!` is draining. */
function member(text: string): Member {
  const [, name = "", weight, address = name, draining] = /^([a-z])(\d+)(?:@([a-z]))?(!)?$/.exec(text) ?? [];
  const entry = { name, address: `h:${address}`, weight: Number(weight) };
  return draining ? { ...entry, drainingSinceMs: 9 } : entry;
}
const members = (text: string) => text.split(" ").filter(Boolean).map(member);
const words = (list: readonly Member[]) =>
  list
    .map(({ name, weight, address, drainingSinceMs }) => {
      const at = address === `h:${name}` ? "" : `@${address.slice(2)}`;
      return `${name}${weight}${at}${drainingSinceMs === undefined ? "" : "!"}`;
    })
    .join(" ");

/** Plays an operator's changes: `+d1` adds, `-a` removes, `a7` and `a5!` set. */
function play(configured: readonly ServerEntry[], text: string): MembershipChange[] {
  let changes: MembershipChange[] = [];
  for (const word of text.split(" ").filter(Boolean)) {
    const name = word.replace(/^[+-]/, "").charAt(0);
    const now = word.startsWith("-") ? undefined : member(word.replace(/^\+/, ""));
    const entry = configured.find((candidate) => candidate.name === name);
    changes = changesAfter(changes, name, entry, now);
  }
  return changes;
}

describe("membership", () => {
  for (const [what, before, operator, after, expected, inForce] of [
    ["without changes, what is configured", "a5 b1", "", "a5 b1", "a5 b1", 0],
    ["a new weight", "a5 b1", "a7", "a5 b1", "a7 b1", 1],
    ["an added server", "a5", "+d2", "a5", "a5 d2", 1],
    ["a removed server", "a5 b1", "-a", "a5 b1", "b1", 1],
    ["a draining server", "a5 b1", "a5!", "a5 b1", "a5! b1", 1],
    ["changes that were undone leave nothing", "a5 b1", "a7 a5 b1! b1 +d2 -d", "a5 b1", "a5 b1", 0],
    ["a removed server that was added again", "a5 b1", "-a +a5@x", "a5 b1", "a5@x b1", 1],
    ["all that was configured, removed", "a5", "-a", "a5", "", 1],
    ["the configuration gives another weight: it wins", "a5 b1", "a7", "a6 b1", "a6 b1", 0],
    ["the configuration gives another address: it wins", "a5 b1", "-a", "a5@x b1", "a5@x b1", 0],
    ["the configuration changes another server", "a5 b1", "a7", "a5 b2", "a7 b2", 1],
    ["the configuration forgets the server", "a5 b1", "a7", "b1", "b1", 0],
    ["the configuration takes the name of one that was added", "a5", "+d2", "a5 d3", "a5 d3", 0],
    ["the configuration takes the address of one that was added", "a5", "+d2", "a5 e3@d", "a5 e3@d", 0],
  ] as const) {
    it(`golden table: ${what}`, () => {
      const changes = play(members(before), operator);
      const result = withChanges(members(after), changes);
      assert.equal(words(result.members), expected);
      assert.equal(result.changes.length, inForce);
      assert.equal(result.overruled.length, changes.length - inForce);
    });
  }

  it("has the pool after a restart that it had before (property)", () => {
    const configured = members("a5 b1 c3");
    const step = fc.record({
      name: fc.constantFrom("a", "b", "c", "d", "e"),
      weight: fc.nat(3),
      drainingSinceMs: fc.constantFrom(undefined, 9),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const pool = new Map<string, Member>(configured.map((entry) => [entry.name, entry]));
        let changes: MembershipChange[] = [];
        for (const { name, weight, drainingSinceMs } of steps) {
          const now = weight === 0 ? undefined : { name, address: `h:${name}`, weight, drainingSinceMs };
          if (now) pool.set(name, now);
          else pool.delete(name);
          const entry = configured.find((candidate) => candidate.name === name);
          changes = changesAfter(changes, name, entry, now);
        }
        const restarted = withChanges(configured, JSON.parse(JSON.stringify(changes)) as MembershipChange[]);
        assert.deepEqual(
          words(restarted.members).split(" ").sort(),
          words([...pool.values()])
            .split(" ")
            .sort(),
        );
        assert.deepEqual(restarted.overruled, []);
      }),
    );
  });
});
