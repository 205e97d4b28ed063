import assert from "node:assert/strict";
import { WindowShares } from "./window-shares.js";

const leastBytes = 65_535;

class Member {
  bytes = leastBytes;
  changes = 0;
}

function shares(maxBytes: number, totalBytes: number): WindowShares<Member> {
  return new WindowShares<Member>({ maxBytes, totalBytes }, (member, bytes) => {
    member.bytes = bytes;
    member.changes += 1;
  });
}

describe("shares of the receive window", () => {
  it("gives each active one its share, never more than the most, never less than HTTP/2's own", () => {
    const windows = shares(4_000_000, 8_000_000);
    const members = Array.from({ length: 1_000 }, () => new Member());
    const expected = new Map([
      [1, 4_000_000],
      [2, 4_000_000],
      [4, 2_000_000],
      [80, 100_000],
      [1_000, leastBytes],
    ]);
    for (const [at, member] of members.entries()) {
      windows.join(member);
      const bytes = expected.get(at + 1);
      if (bytes === undefined) continue;
      for (const active of members.slice(0, at + 1))
        assert.ok(active.bytes <= bytes * 1.25 && active.bytes >= bytes / 1.25, `${active.bytes} of ${at + 1}`);
    }
    assert.ok(Math.max(...members.map(({ changes }) => changes)) < 40, "few changes");
  });

  it("takes back what somebody had who has no call any more, and gives it to the others", () => {
    const windows = shares(4_000_000, 4_000_000);
    const [one, other] = [new Member(), new Member()];
    windows.join(one);
    windows.join(other);
    assert.deepEqual([one.bytes, other.bytes], [2_000_000, 2_000_000]);
    windows.leave(one);
    windows.leave(one);
    assert.deepEqual([one.bytes, other.bytes], [leastBytes, 4_000_000]);
  });
});
