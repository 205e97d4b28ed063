import assert from "node:assert/strict";
import { eventually } from "../test-support/eventually.js";
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
});
