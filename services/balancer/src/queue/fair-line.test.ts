import assert from "node:assert/strict";
import fc from "fast-check";
import { fairCost, quantumBytes } from "../domain/deficit-round-robin.js";
import type { Priority } from "../domain/priority.js";
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

  const cost = fc.integer({ min: 0, max: 2 * quantumBytes });
  const priority = fc.constantFrom<Priority>("high", "normal", "low");

  it("is first in, first out within a priority of one client, and lets the urgent ones go first (property)", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ cost, priority }), { minLength: 1, maxLength: 300 }), (files) => {
        const line = new FairLine();
        for (const [at, file] of files.entries()) line.push("a", BigInt(at), file.cost, file.priority);
        const order = drain(line).map(Number);
        assert.deepEqual(
          order.toSorted((a, b) => a - b),
          [...files.keys()],
        );
        for (const each of ["high", "normal", "low"]) {
          const own = order.filter((at) => files[at]?.priority === each);
          assert.deepEqual(
            own,
            own.toSorted((a, b) => a - b),
          );
        }
      }),
    );
  });

  it("gives every client its turns as if nobody's files were urgent (property)", () => {
    const client = fc.record({ priorities: fc.array(priority, { minLength: 1, maxLength: 200 }), cost });
    fc.assert(
      fc.property(fc.array(client, { minLength: 2, maxLength: 5 }), (clients) => {
        const turns = (urgent: boolean) => {
          const line = new FairLine();
          for (const [at, { priorities, cost: sizeBytes }] of clients.entries())
            for (const [index, each] of priorities.entries())
              line.push(`${at}`, BigInt(at * 1_000 + index), sizeBytes, urgent ? each : "normal");
          return drain(line).map((number) => number / 1_000n);
        };
        assert.deepEqual(turns(true), turns(false));
      }),
    );
  });

  it("gives clients with files of any sizes the same bytes, however urgent their files (property)", () => {
    const files = fc.array(fc.record({ cost: fc.integer({ min: 0, max: 16 * quantumBytes }), priority }), {
      minLength: 50,
      maxLength: 50,
    });
    fc.assert(
      fc.property(fc.array(files, { minLength: 2, maxLength: 5 }), (clients) => {
        const line = new FairLine();
        const sums = clients.map(() => 0);
        for (const [at, own] of clients.entries())
          for (const [index, file] of own.entries())
            line.push(`${at}`, BigInt(at * 1_000 + index), file.cost, file.priority);
        // No client runs out of files within so many.
        for (let count = 0; count < 50; count++) {
          const number = Number(line.shift());
          const at = Math.floor(number / 1_000);
          sums[at] = (sums[at] ?? 0) + fairCost(clients[at]?.[number % 1_000]?.cost ?? 0);
        }
        assert.ok(Math.max(...sums) - Math.min(...sums) <= 18 * quantumBytes, sums.join());
      }),
    );
  });

  it("tells about where an upload comes out, whatever its priority (property)", () => {
    const client = fc.array(fc.record({ cost, priority }), { minLength: 1, maxLength: 150 });
    fc.assert(
      fc.property(fc.array(client, { minLength: 1, maxLength: 3 }), fc.nat(), (clients, which) => {
        const line = new FairLine();
        const costs = new Map<bigint, number>();
        for (const [at, own] of clients.entries())
          for (const [index, file] of own.entries()) {
            const number = BigInt(at * 1_000 + index);
            line.push(`${at}`, number, file.cost, file.priority);
            costs.set(number, fairCost(file.cost));
          }
        const own = clients[0] ?? [];
        const watched = BigInt(which % own.length);
        const told = line.before(watched)?.costBytes ?? Number.NaN;
        let came = 0;
        for (let number = line.shift(); number !== watched; number = line.shift())
          came += costs.get(number ?? -1n) ?? 0;
        // A turn and two files of each of its client's priorities, and of each other client.
        const slack = (clients.length + 2) * 4 * quantumBytes;
        assert.ok(Math.abs(told - came) <= slack, `${told} told, ${came} came`);
      }),
    );
  });

  it("tells where an upload stands among those of its client by the weights", () => {
    const line = new FairLine();
    for (let at = 0n; at < 100n; at++) line.push("a", at, 0, "normal");
    for (let at = 100n; at < 150n; at++) line.push("a", at, 0, "high");
    line.push("a", 150n, 0, "low");
    const files = (number: bigint) => line.before(number)?.files;
    // Four urgent ones go before each normal one, while there are any, and the one of low priority after 16 of them.
    assert.deepEqual([files(100n), files(149n), files(0n), files(9n), files(99n)], [0, 63, 4, 50, 150]);
    // 16 urgent ones and 4 normal ones go before the one of low priority.
    assert.equal(files(150n), 20);
    assert.equal(drain(line).indexOf(150n), 20);
  });
});
