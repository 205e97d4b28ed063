import assert from "node:assert/strict";
import { decideLease, type Holder } from "./lease.js";

/** `a@x` is configured, `a@x:7` has a lease for another 7 ms. */
function holder(text: string): Holder {
  const [, name = "", address = "", lease] = /^(\w)@(\w)(?::(\d+))?$/.exec(text) ?? [];
  return { name, address, weight: 1, leasedForMs: lease === undefined ? undefined : Number(lease) };
}

describe("a lease", () => {
  for (const [what, holders, asked, expected] of [
    ["a new server", "a@x b@y:5", "c@z", "granted"],
    ["the first server", "", "c@z", "granted"],
    ["one that comes again", "a@x c@z:5", "c@z", "granted"],
    ["one that comes again after its lease has expired", "a@x c@z:0", "c@z", "granted"],
    ["a name whose lease holds, at another address", "c@y:5", "c@z", "taken: name by c"],
    ["a name whose lease has expired, at another address", "c@y:0", "c@z", "granted, in place of c"],
    ["an address whose lease holds, under another name", "b@z:5", "c@z", "taken: address by b"],
    ["an address whose lease has expired, under another name", "b@z:0", "c@z", "granted, in place of b"],
    ["a name and an address of two whose leases have expired", "c@y:0 b@z:0", "c@z", "granted, in place of c, b"],
    ["a name that has expired and an address that holds", "c@y:0 b@z:5", "c@z", "taken: address by b"],
    ["the name of a server that is configured", "c@y", "c@z", "taken: name by c"],
    ["the address of a server that is configured", "b@z", "c@z", "taken: address by b"],
    ["name and address of a server that is configured", "c@z", "c@z", "taken: name by c"],
  ] as const) {
    it(`golden table: ${what}: ${expected}`, () => {
      const verdict = decideLease(holder(asked), holders.split(" ").filter(Boolean).map(holder));
      const replaced = verdict.kind === "granted" && verdict.replaced.length > 0;
      const words = replaced ? `granted, in place of ${verdict.replaced.join(", ")}` : "granted";
      assert.equal(verdict.kind === "taken" ? `taken: ${verdict.field} by ${verdict.by.name}` : words, expected);
    });
  }
});
