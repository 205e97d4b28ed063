import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { OverloadCause } from "@bilancia/proto/gen/storage";
import { eventually } from "@bilancia/proto/testing/eventually";
import type { FakeStorage } from "../test-support/fake-storage.js";
import {
  anHour,
  PoolFixture as Fixture,
  nameOf,
  nobody,
  poolSettings as settings,
} from "../test-support/pool-fixture.js";
import type { BalancingSettings } from "./server-pool.js";

describe("the pool of servers", function () {
  this.timeout(30_000);
  let fixture: Fixture;
  afterEach(() => fixture.stop());

  it("picks by weight, leaves out whom it is to avoid, and takes them in again", async () => {
    fixture = await Fixture.start([5, 1, 1]);
    assert.equal(fixture.picks(7), "a a b a c a a");
    assert.equal(fixture.picks(4, new Set(["a", "unknown"])), "b c b c");
    assert.equal(fixture.picks(2, new Set(["a", "b", "c"])), "- -");
    assert.equal(fixture.picks(7), "a a b a c a a");
  });

  it("takes a server that is full out, and back in with the first answer", async () => {
    fixture = await Fixture.start([2, 1], { limits: { ...settings.limits, maxFiles: 1 } });
    const { pool } = fixture;
    const free = pool.occupy(fixture.server("a"), 10);
    assert.equal(fixture.picks(2), "b b");
    assert.match(fixture.state("a"), /^full: 1 files, 10 bytes/);
    let changes = 0;
    pool.onChange(() => changes++);
    free();
    assert.equal(changes, 1);
    assert.equal(fixture.picks(3), "a b a");
    const all = ["a", "b"].map((name) => pool.occupy(fixture.server(name), 10));
    assert.equal(pool.anyAvailable, false);
    for (const freeOne of all) freeOne();
    assert.equal(pool.anyAvailable, true);
  });

  it("leaves a busy server alone for as long as it asked", async () => {
    fixture = await Fixture.start([1, 1]);
    const back = new Promise<void>((resolve) => fixture.pool.onChange(resolve));
    fixture.pool.pause(fixture.server("a"), 300);
    assert.equal(fixture.picks(2), "b b");
    assert.match(fixture.state("a"), /^busy/);
    await back;
    assert.equal(fixture.picks(2).split(" ").sort().join(), "a,b");
  });

  it("does not leave a busy server alone for ever, whatever it asks and however the clock is set", async () => {
    let nowMs = 1_000_000;
    fixture = await Fixture.start([1], { clock: { nowMs: () => nowMs, random: Math.random } });
    fixture.pool.pause(fixture.server("a"), Number.MAX_SAFE_INTEGER);
    assert.equal(fixture.state("a"), "busy: asked to be left alone for another 60000 ms");
    const back = new Promise<void>((resolve) => fixture.pool.onChange(resolve));
    fixture.pool.pause(fixture.server("a"), 20);
    nowMs -= 500_000;
    await back;
    assert.match(fixture.state("a"), /^available/);
  });

  it("leaves a busy server alone for a moment, also where it asks for none", async () => {
    fixture = await Fixture.start([1], { clock: { nowMs: () => 1_000_000, random: Math.random } });
    for (const [asked, paused] of [
      [0, 50],
      [-5_000, 50],
      [Number.NEGATIVE_INFINITY, 50],
      [Number.NaN, 200],
      [undefined, 200],
      [Number.POSITIVE_INFINITY, 60_000],
    ]) {
      fixture.pool.pause(fixture.server("a"), asked);
      assert.equal(fixture.state("a"), `busy: asked to be left alone for another ${paused} ms`, `${asked}`);
    }
  });

  it("tells few causes of an overload, each once, however many the server says", async () => {
    fixture = await Fixture.start([1]);
    const [a] = fixture.storages as [FakeStorage];
    a.causes = [...new Array(10_000).fill(OverloadCause.OVERLOAD_CAUSE_MEMORY), ...Array(10_000).keys()];
    await fixture.becomes("a", /^overloaded/, () => {
      a.overloaded = true;
    });
    const told = fixture.occurrences.flatMap((one) => (one.kind === "server-overload" ? one.causes : []));
    assert.equal(told.length, 16);
    assert.equal(new Set(told).size, 16);
    assert.equal(told[0], "MEMORY");
    assert.ok(fixture.state("a").length < 200, fixture.state("a"));
    assert.equal(fixture.server("a").load?.causes.length, 16);
  });

  it("hears at once from servers that tell by themselves, without asking them again", async () => {
    fixture = await Fixture.start([1, 1]);
    const [a, b] = fixture.storages as [FakeStorage, FakeStorage];
    // As soon as the streams are open, what is told over them counts.
    await fixture.becomes("a", /^overloaded: memory$/, () => {
      a.overloaded = true;
    });
    assert.equal(fixture.picks(2), "b b");
    a.overloaded = false;
    await fixture.becomes("a", /^available/);
    await fixture.becomes("b", /^unhealthy: health check says NOT_SERVING$/, () => {
      b.serving = false;
    });
    assert.equal(fixture.picks(2), "a a");
    assert.deepEqual(a.asked, { check: 1, load: 1 });
  });

  it("asks servers that do not tell", async () => {
    const probe = { ...settings.probe, intervalMs: 40 };
    fixture = await Fixture.start([1], { probe }, { watchHealth: false, watchLoad: false });
    const [a] = fixture.storages as [FakeStorage];
    a.overloaded = true;
    await fixture.becomes("a", /^overloaded: memory$/);
    a.overloaded = false;
    a.serving = false;
    await fixture.becomes("a", /^unhealthy: health check says NOT_SERVING$/);
    a.serving = true;
    await fixture.becomes("a", /^available/);
    assert.ok(a.asked.check > 3);
  });

  it("does not ask a server again and again that says one thing by itself and another when it is asked", async () => {
    const probe = { ...settings.probe, intervalMs: 200 };
    fixture = await Fixture.start([1], { probe }, { watchedStatus: "NOT_SERVING" });
    const [a] = fixture.storages as [FakeStorage];
    await delay(1_000);
    assert.match(fixture.state("a"), /^available/);
    assert.ok(a.asked.load <= 12, `asked ${a.asked.load} times within five intervals`);
  });

  it("finds servers that do not answer any more, although their connection holds", async () => {
    const probe = { ...settings.probe, intervalMs: 50, timeoutMs: 100 };
    fixture = await Fixture.start([1, 1], { probe });
    const [a] = fixture.storages as [FakeStorage];
    a.frozen = true;
    await fixture.becomes("a", /^unhealthy: load report: no answer in time$/);
    assert.equal(fixture.picks(2), "b b");
    a.frozen = false;
    await fixture.becomes("a", /^available/);
  });

  it("looks no longer for a server that says that it has started once it is removed", async () => {
    fixture = await Fixture.start([1], { probe: { ...settings.probe, intervalMs: 40 } });
    const a = fixture.server("a");
    fixture.storages[0]?.stop();
    await fixture.becomes("a", /^unhealthy/);
    const announced = a.announced();
    await delay(150);
    fixture.pool.remove(a);
    await announced;
  });

  it("ejects a server on which attempts fail one after another, but never so many that half of them are out", async () => {
    fixture = await Fixture.start([1, 1, 1]);
    for (const name of ["a", "b"])
      for (let failure = 0; failure < 3; failure++) fixture.pool.failed(fixture.server(name));
    assert.match(fixture.state("a"), /^ejected: 3 attempts failed in a row; for another [0-9]+ ms$/);
    assert.match(fixture.state("b"), /^available/);
    assert.equal(fixture.picks(2), "b c");
    const ejected = fixture.occurrences.filter(({ kind }) => kind === "server-ejected");
    assert.deepEqual(ejected, [
      { kind: "server-ejected", server: "a", forMs: anHour, reason: "3 attempts failed in a row" },
    ]);
  });

  it("counts drained servers, and such whose lease has expired, as out when it ejects others", async () => {
    fixture = await Fixture.start([1, 1, 1, 1]);
    const { pool } = fixture;
    pool.drain(fixture.server("c"), Date.now());
    pool.lapse(fixture.server("d"), { sinceMs: Date.now(), reason: "" });
    for (const name of ["a", "b"]) for (let failure = 0; failure < 3; failure++) pool.failed(fixture.server(name));
    assert.equal(fixture.picks(2), "a b");
  });

  it("takes an ejected server back when its time is over", async () => {
    fixture = await Fixture.start([1, 1], { ejection: { ...settings.ejection, baseMs: 300 } });
    const back = new Promise<void>((resolve) => fixture.pool.onChange(resolve));
    for (let failure = 0; failure < 3; failure++) fixture.pool.failed(fixture.server("a"));
    assert.equal(fixture.picks(2), "b b");
    await back;
    assert.match(fixture.state("a"), /^available/);
    assert.match(fixture.picks(4), /a/);
  });

  it("ejects a server that flaps, also while it is away", async () => {
    const probe = { ...settings.probe, intervalMs: 40 };
    fixture = await Fixture.start([1, 1], { probe, ejection: { ...settings.ejection, falls: 2 } });
    const [a] = fixture.storages as [FakeStorage];
    for (let fall = 0; fall < 2; fall++) {
      a.serving = false;
      await fixture.becomes("a", /^unhealthy/);
      a.serving = true;
      await fixture.becomes("a", fall === 0 ? /^available/ : /^ejected: flapping/);
    }
  });

  it("lets the weight of a server that returns grow", async () => {
    const probe = { ...settings.probe, intervalMs: 40 };
    fixture = await Fixture.start([1, 1], { probe, balancing: { ...settings.balancing, slowStartMs: anHour } });
    assert.equal(fixture.picks(4), "a b a b");
    const [a] = fixture.storages as [FakeStorage];
    a.serving = false;
    await fixture.becomes("a", /^unhealthy/);
    a.serving = true;
    await fixture.becomes("a", /^available/);
    assert.equal(fixture.picks(110).split("a").length - 1, 10);
  });

  it("lets the weight of a server that announces itself again and again grow all the same, and anew where it has restarted", async () => {
    fixture = await Fixture.start([1, 1], { balancing: { ...settings.balancing, slowStartMs: anHour } });
    const [a] = fixture.storages as [FakeStorage];
    const returned: string[] = [];
    fixture.pool.onReturn(({ backend }) => returned.push(backend.name));
    await fixture.server("a").announced();
    assert.deepEqual(returned, ["a"]);
    assert.equal(fixture.picks(4), "a b a b");
    a.instanceId = "another";
    await fixture.server("a").announced();
    assert.equal(fixture.picks(110).split("a").length - 1, 10);
  });

  it("holds files while all are overloaded, or spills them to the one with the least on its way", async () => {
    for (const whenNoneAvailable of ["hold", "spill"] as const) {
      fixture?.stop();
      fixture = await Fixture.start([1, 1, 1], { balancing: { ...settings.balancing, whenNoneAvailable } });
      const { pool, storages } = fixture;
      for (const [index, storage] of storages.entries())
        await fixture.becomes(nameOf(index), /^overloaded/, () => {
          storage.overloaded = true;
        });
      assert.equal(pool.anyAvailable, whenNoneAvailable === "spill");
      assert.equal(fixture.picks(1), whenNoneAvailable === "spill" ? "a" : "-");
      pool.occupy(fixture.server("a"), 500);
      assert.equal(fixture.picks(1, new Set(["b"])), whenNoneAvailable === "spill" ? "c" : "-");
      pool.pause(fixture.server("b"), anHour);
      assert.equal(fixture.picks(1), whenNoneAvailable === "spill" ? "c" : "-");
    }
  });

  it("follows settings that change: the policy, the limits, what is learned", async () => {
    const limits = { ...settings.limits };
    const balancing: { -readonly [Key in keyof BalancingSettings]: BalancingSettings[Key] } = { ...settings.balancing };
    fixture = await Fixture.start([3, 1], { limits, balancing });
    const { pool } = fixture;
    assert.equal(fixture.picks(4), "a a b a");
    const free = Array.from({ length: 3 }, () => pool.occupy(fixture.server("a"), 10));
    Object.assign(limits, { maxFiles: 2 });
    pool.settingsChanged();
    assert.match(fixture.state("a"), /^full/);
    assert.equal(fixture.picks(2), "b b");
    Object.assign(limits, { maxFiles: 100, adaptive: true });
    balancing.policy = "least_load";
    pool.settingsChanged();
    assert.equal(fixture.server("a").backend.limit?.max, 100);
    // Of two, the one with less on its way for its weight.
    assert.deepEqual(new Set(fixture.picks(40).split(" ")), new Set(["b"]));
    for (const freeOne of free) freeOne();
    Object.assign(limits, { adaptive: false });
    balancing.policy = "weighted_round_robin";
    balancing.weights = "auto";
    pool.settingsChanged();
    assert.equal(fixture.server("a").backend.limit, undefined);
    assert.equal(fixture.picks(8).split("a").length - 1, 6);
    balancing.weights = "configured";
    pool.settingsChanged();
    assert.equal(fixture.picks(8).split("a").length - 1, 6);
  });

  it("halves what a server gets at a time when it is overloaded, and lets it grow with each large file, whose time says nothing", async () => {
    fixture = await Fixture.start([1], { limits: { ...settings.limits, adaptive: true } });
    const server = fixture.server("a");
    const [storage] = fixture.storages;
    assert.ok(storage);
    assert.equal(server.backend.limit?.files, 100);
    storage.overloaded = true;
    await fixture.becomes("a", /^overloaded/);
    assert.equal(server.backend.limit.files, 50);
    for (let answer = 0; answer < 2; answer++) fixture.pool.stored(server, 10_000_000, 10_000_000, 1_000);
    assert.equal(server.backend.limit.files, 52);
  });

  it("learns how many files a server takes", async () => {
    let nowMs = 1_000;
    const clock = { nowMs: () => nowMs, random: Math.random };
    fixture = await Fixture.start([1], { clock, limits: { ...settings.limits, adaptive: true } });
    const { pool } = fixture;
    const a = fixture.server("a");
    let sent = 0;
    while (pool.pick(nobody, 1)) {
      pool.occupy(a, 1);
      sent += 1;
    }
    assert.equal(sent, 100);
    // A hundred a second, which is ten in the time that an answer may take; the first ones say nothing of the others' wait.
    for (let answer = 0; answer < 200; answer++) {
      nowMs += 10;
      pool.stored(a, 1, 1, 1_000);
    }
    assert.equal(a.backend.limit?.files, 10);
    for (let failure = 0; failure < 3; failure++) pool.pause(a, 1);
    assert.equal(a.backend.limit?.files, 7);
  });

  it("learns that one server is slower than the other, and gives it less", async () => {
    let nowMs = 1_000;
    const clock = { nowMs: () => nowMs, random: Math.random };
    fixture = await Fixture.start([1, 1], { clock, balancing: { ...settings.balancing, weights: "auto" } });
    const { pool } = fixture;
    const [a, b] = [fixture.server("a"), fixture.server("b")];
    const weightOf = (server: typeof a) => pool.views.of(server).effectiveWeight;
    // Both are given a file of the same size again and again; one of them needs three times as long for it.
    await eventually("a is taken for the better one", () => {
      const free = [a, b].map((server) => pool.occupy(server, 1_000));
      nowMs += 10;
      free[0]?.();
      pool.stored(a, 1_000, 1_000, 10);
      nowMs += 20;
      free[1]?.();
      pool.stored(b, 1_000, 1_000, 30);
      return weightOf(a) > 1.2 && weightOf(b) < 0.9;
    });
    const picks = fixture.picks(100);
    assert.ok(picks.split("a").length > 52, picks);
  });

  it("shares exactly among 100 servers with mixed weights", async () => {
    const weights = Array.from({ length: 100 }, (_, index) => 1 + ((index * 37) % 19));
    fixture = await Fixture.start(weights);
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const counts = new Map<string, number>();
    for (const name of fixture.picks(sum).split(" ")) counts.set(name, (counts.get(name) ?? 0) + 1);
    for (const [index, weight] of weights.entries()) assert.equal(counts.get(nameOf(index)), weight, nameOf(index));
  });

  it("takes about as long for a pick among 100 servers with mixed weights as among 10", async () => {
    const weights = (count: number) => Array.from({ length: count }, (_, index) => 1 + (index % 10));
    const pools = [await Fixture.start(weights(10)), await Fixture.start(weights(100))] as const;
    fixture = pools[1];
    try {
      /** CPU time of many picks, in microseconds. */
      const cost = ({ pool }: Fixture): number => {
        const before = process.cpuUsage();
        for (let pick = 0; pick < 100_000; pick++) pool.pick(nobody, 100);
        const { user, system } = process.cpuUsage(before);
        return user + system;
      };
      // In turns, and the least of several: what else the machine does, and the compiler, cost both alike or not at all.
      const least = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] as [number, number];
      for (let round = 0; round < 10; round++) {
        for (const index of [0, 1] as const) least[index] = Math.min(least[index], cost(pools[index]));
      }
      const [ten, hundred] = least;
      // Were all servers looked at for each pick, it would be about ten times.
      assert.ok(hundred < 2.5 * ten, `${ten} us for 10 servers, ${hundred} us for 100`);
    } finally {
      pools[0].stop();
    }
  });
});
