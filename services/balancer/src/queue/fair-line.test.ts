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
});
