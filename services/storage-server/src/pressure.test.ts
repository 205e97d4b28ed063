import assert from "node:assert/strict";
import { ByteBudget, Slots } from "./pressure.js";
import { SharedSync } from "./shared-sync.js";

/** A promise to be resolved by hand. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** Lets everything run that is ready. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("byte budget", () => {
  it("holds readers back until enough is given back", async () => {
    const budget = new ByteBudget(10);
    budget.take(15);
    let hasRoom = false;
    const room = budget.room().then(() => {
      hasRoom = true;
    });
    budget.give(5);
    await settle();
    assert.equal(hasRoom, false);
    budget.give(1);
    await room;
  });
});

describe("slots", () => {
  it("run a limited number of tasks, in order, also after a failure", async () => {
    const slots = new Slots(2);
    const gates = [gate(), gate(), gate(), gate()];
    const started: number[] = [];
    const runs = gates.map(({ opened }, at) =>
      slots.run(async () => {
        started.push(at);
        await opened;
        if (at === 0) throw new Error("failed");
      }),
    );
    await settle();
    assert.deepEqual(started, [0, 1]);
    assert.equal(slots.full, true);
    gates[0]?.open();
    await assert.rejects(runs[0] ?? Promise.resolve(), /failed/);
    await slots.room();
    assert.deepEqual(started, [0, 1, 2]);
    for (const { open } of gates) open();
    await Promise.all(runs.slice(1));
    assert.deepEqual(started, [0, 1, 2, 3]);
  });
});

describe("shared sync", () => {
  it("serves those who come while one runs by the next one, together", async () => {
    const gates = [gate(), gate()];
    let count = 0;
    const sync = new SharedSync(() => gates[count++]?.opened ?? Promise.reject(new Error("one too many")));
    const first = sync.flush();
    await settle();
    const late = [sync.flush(), sync.flush(), sync.flush()];
    gates[0]?.open();
    await first;
    await settle();
    assert.equal(count, 2);
    let lateDone = false;
    const all = Promise.all(late).then(() => {
      lateDone = true;
    });
    await settle();
    assert.equal(lateDone, false);
    gates[1]?.open();
    await all;
  });

  it("fails for those it concerns, and not for the next", async () => {
    let count = 0;
    const sync = new SharedSync(async () => {
      if (count++ === 0) throw new Error("EIO");
    });
    await assert.rejects(sync.flush(), /EIO/);
    await sync.flush();
    assert.equal(count, 2);
  });
});
