import assert from "node:assert/strict";
import fc from "fast-check";
import { WindowShares } from "./window-shares.js";

const limits = {
  leastBytes: 16_384,
  mostBytes: 4_194_304,
  totalBytes: 33_554_432,
  widestBytes: 12_582_912,
  totalMoreBytes: 16_777_216,
  restingBytes: 65_535,
  restMs: 30_000,
};

class Member {
  bytes: number = limits.leastBytes;
  isDismissed = false;
  /** Has something to do besides, and so does not go. */
  isBusy = false;
}

function shares(clock = { ms: 0 }): WindowShares<Member> {
  const orders = {
    give: (member: Member, bytes: number) => {
      member.bytes = bytes;
    },
    dismiss: (member: Member) => {
      member.isDismissed ||= !member.isBusy;
      return member.isDismissed;
    },
  };
  return new WindowShares<Member>(limits, orders, () => clock.ms);
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

  it("gives what somebody had to those that have little, once that one has gone", () => {
    const windows = shares();
    const members = Array.from({ length: 1_000 }, () => new Member());
    for (const member of members) windows.join(member);
    const last = members.at(-1) as Member;
    assert.equal(last.bytes, limits.leastBytes);
    for (const member of members.slice(0, -1)) windows.leave(member);
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
    windows.rest(first);
    windows.grow(third);
    assert.deepEqual(inMiB(), [12, 10, 5, 4, 4]);
    windows.leave(first);
    windows.grow(third);
    assert.deepEqual(inMiB(), [12, 10, 9.5, 4, 4]);
  });

  it("gives nobody more where many share", () => {
    const windows = shares();
    const members = Array.from({ length: 17 }, () => new Member());
    const [first, last] = [members[0] as Member, members.at(-1) as Member];
    for (const member of members) windows.join(member);
    windows.grow(first);
    assert.equal(first.bytes, limits.mostBytes);
    windows.rest(last);
    windows.grow(first);
    assert.equal(first.bytes, 2 * limits.mostBytes);
  });

  it("leaves its share to one that rests, and takes back at once what is little", () => {
    const windows = shares();
    const members = Array.from({ length: 40 }, () => new Member());
    for (const member of members) windows.join(member);
    const [first, last] = [members[0], members[39]] as [Member, Member];
    assert.deepEqual([first.bytes, last.bytes], [limits.mostBytes, limits.leastBytes]);
    for (const member of members.toReversed()) windows.rest(member);
    assert.deepEqual([first.bytes, last.bytes], [limits.mostBytes, limits.leastBytes]);
    assert.ok(members.every(({ bytes }) => bytes === limits.leastBytes || bytes > limits.restingBytes));
    // What those that rest have, nobody else gets.
    const next = new Member();
    windows.join(next);
    assert.ok(next.bytes < limits.mostBytes / 10, `${next.bytes}`);
    windows.join(first);
    assert.equal(first.bytes, limits.mostBytes);
  });

  it("tells those to go that have rested longest when somebody finds too little, and no more of them than it takes", () => {
    const clock = { ms: 0 };
    const windows = shares(clock);
    const members = Array.from({ length: 30 }, () => new Member());
    for (const member of members) windows.join(member);
    const [first, second, third, fourth] = members as [Member, Member, Member, Member];
    const dismissed = () => members.flatMap(({ isDismissed }, at) => (isDismissed ? [at] : []));
    windows.rest(second);
    second.isBusy = true;
    clock.ms += 1_000;
    for (const member of [third, first, fourth]) windows.rest(member);
    clock.ms += limits.restMs - 1_000;
    const comes = new Member();
    windows.join(comes);
    assert.deepEqual(dismissed(), [], "the second cannot go, and the others have not rested for long");
    clock.ms += 1_000;
    windows.rest(comes);
    windows.join(comes);
    assert.deepEqual(dismissed(), [2], "its share suffices");
    const sum = () => [...members, comes].reduce((total, { bytes }) => total + bytes, 0);
    const before = sum();
    windows.leave(third);
    assert.ok(sum() > before + limits.mostBytes / 2, "others have it now");
  });

  it("tells those to go that have rested longest when there is too little for one that asks for more", () => {
    const clock = { ms: 0 };
    const windows = shares(clock);
    const [first, second, third] = Array.from({ length: 3 }, () => new Member()) as [Member, Member, Member];
    for (const member of [first, second, third]) {
      windows.join(member);
      for (let count = 0; count < 4; count++) windows.grow(member);
      windows.rest(member);
      clock.ms += limits.restMs;
    }
    // Of sixteen they took eight, four, and two.
    assert.deepEqual(
      [first, second, third].map(({ isDismissed }) => isDismissed),
      [true, false, false],
    );
  });

  it("never gives more than there is, nor less or more than anybody may have (property)", () => {
    const step = fc.record({ does: fc.constantFrom("join", "rest", "leave", "grow"), at: fc.nat(99) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const windows = shares();
        const members = Array.from({ length: 100 }, () => new Member());
        for (const { does, at } of steps) {
          windows[does](members[at] as Member);
          // Who has gone has no window.
          if (does === "leave") members[at] = new Member();
          const sum = members.reduce((total, { bytes }) => total + bytes - limits.leastBytes, 0);
          assert.ok(sum <= limits.totalBytes + limits.totalMoreBytes, `${sum} given`);
          for (const { bytes } of members) assert.ok(bytes >= limits.leastBytes && bytes <= limits.widestBytes);
        }
      }),
    );
  });
});
