import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { eventually } from "@bilancia/proto/testing/eventually";
import type { ServerEntry } from "../domain/server-entry.js";
import type { Resolver } from "../ports/resolver.js";
import { FakeStorage } from "../test-support/fake-storage.js";
import { PoolFixture } from "../test-support/pool-fixture.js";
import { Membership } from "./membership.js";
import { openMembership } from "./membership-file.js";
import { NameWatch } from "./name-watch.js";
import { PoolKeeper } from "./pool-keeper.js";
import { systemResolver } from "./system-resolver.js";

/** Loopback addresses at which one and the same port is a server each. */
const one = "127.0.0.1";
const two = "127.0.0.2";

/** A name service that says what it is told to. */
class FakeResolver implements Resolver {
  addresses: readonly string[] = [];
  problem: string | undefined;
  asked = 0;

  async resolve(host: string): Promise<readonly string[]> {
    assert.equal(host, "storage.internal");
    this.asked += 1;
    if (this.problem !== undefined) throw new Error(this.problem);
    return this.addresses;
  }
}

describe("servers behind a name", function () {
  this.timeout(30_000);
  let folder: string;
  let fixture: PoolFixture;
  let resolver: FakeResolver;
  let configured: ServerEntry[];
  let membership: Membership;
  let keeper: PoolKeeper;
  let watch: NameWatch;
  let settings: { intervalMs: number };

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-"));
    fixture = await PoolFixture.start([]);
    const everywhere = new FakeStorage();
    everywhere.address = "0.0.0.0:0";
    await everywhere.start();
    fixture.storages.push(everywhere);
    const port = everywhere.address.split(":").at(-1);
    configured = [{ name: "s", address: `dns:///storage.internal:${port}`, weight: 2 }];
    resolver = new FakeResolver();
    settings = { intervalMs: 10 };
    await open();
  });
  afterEach(async () => {
    watch.stop();
    membership.stop();
    fixture.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function open(): Promise<void> {
    const { file, facts } = await openMembership(folder, configured, { note: () => {} });
    const parts = {
      pool: fixture.pool,
      unsettled: () => 0,
      clock: { nowMs: () => 1_000, random: Math.random },
      observer: { note: (occurrence: (typeof fixture.occurrences)[number]) => fixture.occurrences.push(occurrence) },
    };
    membership = new Membership({ ...parts, facts, file });
    keeper = new PoolKeeper({ ...parts, membership, leases: { untilMs: () => undefined } });
    watch = new NameWatch({ resolver, membership, settings, observer: parts.observer });
  }
  const pool = () =>
    fixture.pool
      .all()
      .map(({ backend: { name, weight } }) => `${name}=${weight}`)
      .sort()
      .join(" ");
  const becomes = (expected: string) => eventually(`the pool is ${expected}`, () => pool() === expected);
  const askedAgain = async () => {
    const { asked } = resolver;
    await eventually("it is asked again", () => resolver.asked > asked + 1);
  };
  const told = (kind: string) => fixture.occurrences.filter((occurrence) => occurrence.kind === kind).length;

  it("are there once the watch has begun, one at each address", async () => {
    resolver.addresses = [two, one, two];
    await watch.start();
    assert.equal(pool(), "s-127.0.0.1=2 s-127.0.0.2=2");
    assert.equal(fixture.picks(4).split("s-127.0.0.1").length - 1, 2);
  });

  it("join and leave with their addresses, and what is on its way to one that leaves is finished", async () => {
    resolver.addresses = [one];
    await watch.start();
    resolver.addresses = [one, two];
    await becomes("s-127.0.0.1=2 s-127.0.0.2=2");
    const free = fixture.pool.occupy(fixture.server("s-127.0.0.1"), 10);
    resolver.addresses = [two];
    await fixture.becomes("s-127.0.0.1", /^draining: it is not to be in the pool any more/);
    assert.equal(fixture.picks(2), "s-127.0.0.2 s-127.0.0.2");
    free();
    await becomes("s-127.0.0.2=2");
    const changes = fixture.occurrences.flatMap((what) =>
      what.kind === "server-changed" ? [`${what.change} by ${what.by}`] : [],
    );
    assert.deepEqual(changes, [
      ...["added by the name service", "added by the name service", "leaving by the name service"],
      "left by the name service",
    ]);
  });

  for (const [what, harm] of [
    ["cannot be resolved", () => (resolver.problem = "no such name")],
    ["resolves to nothing", () => (resolver.addresses = [])],
  ] as const)
    it(`stay as they are while the name ${what}, which is told once, as is its end`, async () => {
      resolver.addresses = [one];
      await watch.start();
      harm();
      await eventually("it is told", () => told("name-unresolved") === 1);
      await askedAgain();
      assert.equal(told("name-unresolved"), 1);
      assert.equal(pool(), "s-127.0.0.1=2");
      resolver.problem = undefined;
      resolver.addresses = [one, two];
      await becomes("s-127.0.0.1=2 s-127.0.0.2=2");
      assert.equal(told("name-resolved"), 1);
    });

  it("are none while the name was never resolved, and come when it is", async () => {
    resolver.problem = "no such name";
    await watch.start();
    assert.equal(pool(), "");
    resolver.problem = undefined;
    resolver.addresses = [one];
    await becomes("s-127.0.0.1=2");
  });

  it("keep what an operator has changed while their address is away, also over a restart, until the entry is another", async () => {
    resolver.addresses = [one, two];
    await watch.start();
    await keeper.setWeight("s-127.0.0.1", 7, "operator");
    await keeper.drain("s-127.0.0.2", "operator");
    resolver.addresses = [two];
    await becomes("s-127.0.0.2=2");
    watch.stop();
    membership.stop();
    await open();
    resolver.addresses = [one, two];
    await watch.start();
    await becomes("s-127.0.0.1=7 s-127.0.0.2=2");
    assert.match(fixture.state("s-127.0.0.2"), /^drained: an operator/);
    await membership.useConfiguration(configured.map((entry) => ({ ...entry, weight: 3 })));
    await becomes("s-127.0.0.1=3 s-127.0.0.2=3");
    assert.match(fixture.state("s-127.0.0.2"), /^available/);
  });

  it("go when the configuration names the name no more", async () => {
    resolver.addresses = [one];
    await watch.start();
    await membership.useConfiguration([]);
    await becomes("");
  });

  it("are found by the machine's own resolver", async () => {
    assert.ok((await systemResolver.resolve("localhost")).includes("127.0.0.1"));
    await assert.rejects(systemResolver.resolve("no-such-name.invalid"));
  });
});
