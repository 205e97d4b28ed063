import assert from "node:assert/strict";
import fc from "fast-check";
import { WindowShares } from "./window-shares.js";

const limits = {
  leastBytes: 16_384,
  mostBytes: 4_194_304,
  totalBytes: 33_554_432,
  widestBytes: 12_582_912,
  totalMoreBytes: 16_777_216,
};

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

  it("gives more to who asks, up to the widest and half of what is left for it, and takes it from nobody", () => {
    const windows = shares();
    const members = Array.from({ length: 5 }, () => new Member());
    const [first, second, third] = members as [Member, Member, Member];
    const inMiB = () => members.map(({ bytes }) => bytes / 1024 ** 2);
    windows.grow(first);
    assert.equal(first.bytes, limits.leastBytes, "it is not here");
    for (const member of members) windows.join(member);
    assert.deepEqual(inMiB(), [4, 4, 4, 4, 4]);
    for (let count = 0; count < 4; count++) windows.grow(first);
    assert.deepEqual(inMiB(), [12, 4, 4, 4, 4]);
    for (let count = 0; count < 4; count++) windows.grow(second);
    // Four of eight, and two of four; one more would not be worth a message.
    assert.deepEqual(inMiB(), [12, 10, 4, 4, 4]);
    windows.leave(first);
    windows.grow(third);
    assert.deepEqual(inMiB(), [limits.leastBytes / 1024 ** 2, 10, 8, 4, 4]);
  });

  it("gives nobody more where many share", () => {
    const windows = shares();
    const members = Array.from({ length: 17 }, () => new Member());
    const [first, last] = [members[0] as Member, members.at(-1) as Member];
    for (const member of members) windows.join(member);
    windows.grow(first);
    assert.equal(first.bytes, limits.mostBytes);
    windows.leave(last);
    windows.grow(first);
    assert.equal(first.bytes, 2 * limits.mostBytes);
  });

  it("never gives more than there is, nor less or more than anybody may have (property)", () => {
    const step = fc.record({ does: fc.constantFrom("join", "leave", "grow"), at: fc.nat(99) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const windows = shares();
        const members = Array.from({ length: 100 }, () => new Member());
        for (const { does, at } of steps) {
          windows[does](members[at] as Member);
          const sum = members.reduce((total, { bytes }) => total + bytes - limits.leastBytes, 0);
          assert.ok(sum <= limits.totalBytes + limits.totalMoreBytes, `${sum} given`);
          for (const { bytes } of members) assert.ok(bytes >= limits.leastBytes && bytes <= limits.widestBytes);
        }
      }),
    );
  });
});
