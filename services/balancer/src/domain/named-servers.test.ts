import assert from "node:assert/strict";
import { hostsOf, maxNamedLength, mayResolveTo, resolvedEntries, serverName } from "./named-servers.js";
import { serverRules } from "./server-entry.js";

const named = { name: "s", address: "dns:///storage.internal:50061", weight: 3 };
const written = { name: "a", address: "10.0.0.1:50061", weight: 1 };
const names = (...addresses: string[]) => new Map([["storage.internal", addresses]]);

describe("servers behind a name", () => {
  for (const [address, expected] of [
    ["dns:///storage.internal:50061", { host: "storage.internal", port: 50_061 }],
    ["dns:///localhost:1", { host: "localhost", port: 1 }],
    ["dns:///a:0", { host: "a", port: 0 }],
    ["dns:///storage.internal.:50061", { host: "storage.internal.", port: 50_061 }],
    ["dns:///storage.internal", undefined],
    ["dns:///storage.internal:70000", undefined],
    ["dns:///:50061", undefined],
    ["dns://storage.internal:50061", undefined],
    ["dns:///a b:50061", undefined],
    ["dns:///-a:50061", undefined],
    ["10.0.0.1:50061", undefined],
  ] as const) {
    it(`golden table: ${address}`, () => assert.deepEqual(serverName(address), expected));
  }

  it("are one for each address, with the weight of the entry", () => {
    assert.deepEqual([...hostsOf([written, named])], ["storage.internal"]);
    assert.deepEqual(resolvedEntries([written, named], names("10.0.0.2", "fd00::1")), [
      written,
      { name: "s-10.0.0.2", address: "10.0.0.2:50061", weight: 3 },
      { name: "s-fd00--1", address: "[fd00::1]:50061", weight: 3 },
    ]);
  });

  it("are none while the name is not resolved", () => {
    assert.deepEqual(resolvedEntries([named, written], new Map()), [written]);
  });

  it("give way to those that are written out, and to those before them", () => {
    const twin = { ...named, name: "t" };
    assert.deepEqual(resolvedEntries([named, twin, written], names("10.0.0.1", "10.0.0.2")), [
      { name: "s-10.0.0.2", address: "10.0.0.2:50061", weight: 3 },
      written,
    ]);
  });

  it("have names and addresses that a server may have", () => {
    const longest = { ...named, name: "n".repeat(maxNamedLength) };
    const addresses = ["255.255.255.255", "::1", "fe80:1111:2222:3333:4444:5555:6666:7777"];
    for (const { name, address } of resolvedEntries([longest], names(...addresses))) {
      assert.ok(serverRules.name.holds(name), name);
      assert.ok(serverRules.address.holds(address), address);
    }
  });

  for (const [what, server, expected] of [
    ["one at another address", { name: "s-10.0.0.9", address: "10.0.0.9:50061", weight: 3 }, true],
    ["one at an IPv6 address", { name: "s-fd00--9", address: "[fd00::9]:50061", weight: 3 }, true],
    ["one of another weight", { name: "s-10.0.0.9", address: "10.0.0.9:50061", weight: 2 }, false],
    ["one at another port", { name: "s-10.0.0.9", address: "10.0.0.9:1", weight: 3 }, false],
    ["one of another name", { name: "t-10.0.0.9", address: "10.0.0.9:50061", weight: 3 }, false],
    ["one that is written out", written, false],
  ] as const)
    it(`may come to be ${what}: ${expected}`, () => assert.equal(mayResolveTo([written, named], server), expected));
});
