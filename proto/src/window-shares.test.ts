import assert from "node:assert/strict";
import fc from "fast-check";
import { WindowShares } from "./window-shares.js";

const limits = { leastBytes: 16_384, mostBytes: 4_194_304, totalBytes: 33_554_432 };

class Member {
  bytes: number = limits.leastBytes;
}

function shares(): WindowShares<Member> {
  return new WindowShares<Member>(limits, (member, bytes) => {
    member.bytes = bytes;
  });
}

describe("shares of the receive window", () => {
  it("gives the first ones wide windows, and the next ones part of the rest", () => {
    const windows = shares();
    const members = Array.from({ length: 40 }, () => new Member());
    for (const member of members) windows.join(member);
    assert.deepEqual(
      [0, 1, 7, 15, 39].map((at) => Math.round((members[at]?.bytes ?? 0) / 1024)),
      [4096, 4096, 1858, 88, 16],
    );
  });

  it("gives what somebody had to those that have little, once that one has no call any more", () => {
    const windows = shares();
    const members = Array.from({ length: 1_000 }, () => new Member());
    for (const member of members) windows.join(member);
    const last = members.at(-1) as Member;
    assert.equal(last.bytes, limits.leastBytes);
    for (const member of members.slice(0, -1)) windows.leave(member);
    assert.equal(members[0]?.bytes, limits.leastBytes);
    assert.ok(last.bytes > limits.mostBytes / 2, `${last.bytes}`);
  });

  it("never gives more than there is, nor less or more than anybody may have (property)", () => {
    const step = fc.record({ joins: fc.boolean(), at: fc.nat(99) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const windows = shares();
        const members = Array.from({ length: 100 }, () => new Member());
        for (const { joins, at } of steps) {
          if (joins) windows.join(members[at] as Member);
          else windows.leave(members[at] as Member);
          const sum = members.reduce((total, { bytes }) => total + bytes - limits.leastBytes, 0);
          assert.ok(sum <= limits.totalBytes, `${sum} given`);
          for (const { bytes } of members) assert.ok(bytes >= limits.leastBytes && bytes <= limits.mostBytes);
        }
      }),
    );
  });
});
