import assert from "node:assert/strict";
import { FairLine } from "./fair-line.js";

function drain(line: FairLine): bigint[] {
  const numbers: bigint[] = [];
  for (let number = line.shift(); number !== undefined; number = line.shift()) numbers.push(number);
  return numbers;
}

describe("the line of uploads that wait for the first time", () => {
  it("is first in, first out for one client", () => {
    const line = new FairLine();
    const numbers = Array.from({ length: 10_000 }, (_, at) => BigInt(at + 1));
    for (const number of numbers) line.push("a", number, Number(number) * 1_000);
    assert.equal(line.length, 10_000);
    assert.deepEqual(drain(line), numbers);
    assert.equal(line.length, 0);
  });

  it("lets one file of one client pass by the many, and the huge ones, of another", () => {
    const line = new FairLine();
    for (let number = 1n; number <= 50_000n; number++) line.push("many", number, 4_096);
    line.push("huge", 50_001n, 10 * 1024 ** 3);
    line.push("huge", 50_002n, 10 * 1024 ** 3);
    line.push("one", 50_003n, 4_096);
    const order = drain(line);
    assert.equal(order.length, 50_003);
    assert.ok(order.indexOf(50_003n) <= 64, `${order.indexOf(50_003n)}`);
    // A huge file is charged for 16 MiB: 1,024 small ones go first, not all.
    assert.ok(order.indexOf(50_001n) < 1_100, `${order.indexOf(50_001n)}`);
  });

  it("tells what goes out before an upload, and what all count for", () => {
    const line = new FairLine();
    for (let number = 1n; number <= 10_000n; number++) line.push("many", number, 4_096);
    line.push("one", 10_001n, 4_096);
    assert.deepEqual(line.before(1n), { files: 1, costBytes: 16_384 });
    assert.equal(line.cost, 10_001 * 16_384);
    // A megabyte of the many goes first, at most.
    assert.deepEqual(line.before(10_001n), { files: 64, costBytes: 1024 ** 2 });
    assert.deepEqual(line.before(10_000n), { files: 10_000, costBytes: 10_000 * 16_384 });
    assert.equal(line.before(10_002n), undefined);
    for (let at = 0; at < 5_000; at++) line.shift();
    assert.equal(line.before(1n), undefined);
    assert.equal(line.before(10_000n)?.files, 10_000 - 5_000);
    drain(line);
    assert.equal(line.cost, 0);
  });
});
