import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@bilancia/proto/testing/eventually";
import type { FakeStorage } from "../test-support/fake-storage.js";
import { PoolFixture } from "../test-support/pool-fixture.js";

describe("what a server in the pool says of itself", function () {
  this.timeout(30_000);
  let fixture: PoolFixture;
  afterEach(() => fixture.stop());

  it("is kept up to 200 characters, whole ones, however long it is", async () => {
    fixture = await PoolFixture.start([1]);
    const [a] = fixture.storages as [FakeStorage];
    const { load } = fixture.server("a");
    assert.deepEqual([load?.serverName, load?.instanceId, load?.version], ["fake", "fake", "0"]);
    a.serverName = `${"x".repeat(199)}${"\u{1f4be}".repeat(100_000)}`;
    a.instanceId = "y".repeat(600_000);
    a.version = "z".repeat(200);
    await fixture.becomes("a", /^overloaded/, () => {
      a.overloaded = true;
    });
    await eventually("all of it is there", () => fixture.server("a").load?.serverName !== "fake");
    const said = fixture.server("a").load;
    assert.equal(said?.serverName, "x".repeat(199));
    assert.equal(said?.instanceId, "y".repeat(200));
    assert.equal(said?.version, "z".repeat(200));
  });

  it("is told few times, however often it changes whether it is overloaded, and the last word holds", async () => {
    fixture = await PoolFixture.start([1, 1]);
    const [a] = fixture.storages as [FakeStorage];
    await fixture.becomes("a", /^overloaded/, () => {
      a.overloaded = true;
    });
    const startMs = performance.now();
    for (let flip = 0; flip < 2_000; flip++) {
      a.overloaded = flip % 2 === 1;
      if (flip % 100 === 0) await delay(5);
    }
    a.version = "last";
    a.overloaded = false;
    await eventually("all has come", () => fixture.server("a").load?.version === "last");
    await fixture.becomes("a", /^available/);
    const tenths = (performance.now() - startMs) / 100;
    const told = fixture.occurrences.filter(({ kind }) => kind === "server-overload").length;
    assert.ok(told <= 3 + tenths, `${told} times in ${tenths} tenths of a second`);
    await delay(250);
    assert.match(fixture.state("a"), /^available/);
  });
});
