import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { ServerEntry } from "../domain/server-entry.js";
import { FakeStorage } from "../test-support/fake-storage.js";
import { PoolFixture } from "../test-support/pool-fixture.js";
import { Membership } from "./membership.js";
import { openMembership } from "./membership-file.js";
import { PoolKeeper } from "./pool-keeper.js";

const by = "ipv4:127.0.0.1:9";

describe("the membership, when the configuration is read anew", function () {
  this.timeout(30_000);
  let folder: string;
  let fixture: PoolFixture;
  let a: ServerEntry;
  let b: ServerEntry;
  let membership: Membership;
  let keeper: PoolKeeper;
  /** Files of which it is not known whether b has them. */
  let unsettled: number;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-"));
    fixture = await PoolFixture.start([5, 1]);
    const configured = fixture.pool.views
      .all()
      .map(({ backend: { name, address, weight } }) => ({ name, address, weight }));
    [a, b] = configured as [ServerEntry, ServerEntry];
    unsettled = 0;
    const { file, facts } = await openMembership(folder, configured, { note: () => {} });
    const parts = {
      pool: fixture.pool,
      unsettled: (name: string) => (name === "b" ? unsettled : 0),
      clock: { nowMs: () => 1_000, random: Math.random },
      observer: { note: (occurrence: (typeof fixture.occurrences)[number]) => fixture.occurrences.push(occurrence) },
    };
    membership = new Membership({ ...parts, facts, file });
    keeper = new PoolKeeper({ ...parts, membership, leases: { untilMs: () => undefined } });
    fixture.occurrences.length = 0;
  });
  afterEach(async () => {
    membership.stop();
    fixture.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const changes = () =>
    fixture.occurrences.flatMap((one) => (one.kind === "server-changed" ? [`${one.server} ${one.change}`] : []));
  const shares = (count: number) => {
    const picks = fixture.picks(count).split(" ");
    return Object.fromEntries(
      [...new Set(picks)].sort().map((name) => [name, picks.filter((one) => one === name).length]),
    );
  };
  const left = (name: string) => fixture.becomes(name, /^undefined/);

  it("gives new weights, with the next file", async () => {
    await membership.useConfiguration([{ ...a, weight: 2 }, b]);
    assert.deepEqual(shares(9), { a: 6, b: 3 });
    assert.deepEqual(changes(), ["a weight"]);
  });

  it("takes in who is new", async () => {
    const storage = await FakeStorage.start();
    fixture.storages.push(storage);
    await membership.useConfiguration([a, b, { name: "c", address: storage.address, weight: 6 }]);
    assert.deepEqual(shares(12), { a: 5, b: 1, c: 6 });
    assert.deepEqual(changes(), ["c added"]);
  });

  it("lets who is not named any more finish what is on its way, and go", async () => {
    const free = fixture.pool.occupy(fixture.server("b"), 10);
    await membership.useConfiguration([a]);
    assert.match(
      fixture.state("b"),
      /^draining: it is not to be in the pool any more, and leaves when nothing is on its way/,
    );
    assert.deepEqual(shares(6), { a: 6 });
    free();
    await left("b");
    assert.deepEqual(fixture.pool.names, ["a"]);
    assert.deepEqual(changes(), ["b leaving", "b left"]);
  });

  it("keeps who leaves while it can say which files it has, and not when it cannot", async () => {
    unsettled = 1;
    await membership.useConfiguration([a]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.match(fixture.state("b"), /^drained/);
    fixture.storages[1]?.stop();
    await left("b");
  });

  it("takes who comes back before it has left", async () => {
    const free = fixture.pool.occupy(fixture.server("b"), 10);
    await membership.useConfiguration([a]);
    await membership.useConfiguration([a, b]);
    free();
    assert.deepEqual(shares(6), { a: 5, b: 1 });
    assert.deepEqual(changes(), ["b leaving", "b enabled"]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.deepEqual(fixture.pool.names, ["a", "b"]);
  });

  it("puts a server at another address in the place of the one before, once that has nothing on its way", async () => {
    const storage = await FakeStorage.start();
    fixture.storages.push(storage);
    const free = fixture.pool.occupy(fixture.server("b"), 10);
    await membership.useConfiguration([a, { ...b, address: storage.address }]);
    assert.match(fixture.state("b"), /^draining: it is to be at .* now/);
    free();
    await fixture.becomes("b", /^available/, () => {});
    assert.equal(fixture.server("b").backend.address, storage.address);
    assert.deepEqual(shares(6), { a: 5, b: 1 });
    assert.deepEqual(changes(), ["b leaving", "b left", "b added"]);
  });

  it("leaves an operator's changes in force, until it says something else of that server, for good", async () => {
    await keeper.setWeight("a", 1, by);
    await keeper.drain("b", by);
    fixture.occurrences.length = 0;
    await membership.useConfiguration([a, b]);
    assert.deepEqual(changes(), []);
    assert.match(fixture.state("b"), /^drained: an operator/);
    await membership.useConfiguration([{ ...a, weight: 3 }, b]);
    assert.deepEqual(changes(), ["a overruled", "a weight"]);
    assert.match(fixture.state("b"), /^drained: an operator/);
    await membership.useConfiguration([a, b]);
    assert.equal(fixture.server("a").backend.weight, 5);
    const { facts } = await openMembership(folder, [a, b], { note: () => {} });
    assert.deepEqual(
      facts.changes.map(({ name }) => name),
      ["b"],
    );
  });

  it("keeps who was added or removed by an operator added or removed", async () => {
    const storage = await FakeStorage.start();
    fixture.storages.push(storage);
    await keeper.add({ name: "c", address: storage.address, weight: 1 }, by);
    await keeper.drain("b", by);
    await keeper.remove("b", false, by);
    await membership.useConfiguration([{ ...a, weight: 2 }, b]);
    assert.deepEqual(fixture.pool.names, ["a", "c"]);
  });

  it("has an operator change nobody who leaves, but take it out", async () => {
    const free = fixture.pool.occupy(fixture.server("b"), 10);
    await membership.useConfiguration([a]);
    await assert.rejects(
      keeper.enable("b", by),
      /expected a server that is to stay; came b: it is not to be in the pool/,
    );
    await assert.rejects(keeper.remove("b", false, by), /expected a drained server/);
    await keeper.remove("b", true, by);
    assert.deepEqual(fixture.pool.names, ["a"]);
    free();
    await membership.useConfiguration([a, b]);
    assert.deepEqual(fixture.pool.names, ["a", "b"]);
  });

  it("changes nothing when what it overrules cannot be made durable", async () => {
    await keeper.setWeight("a", 1, by);
    await rm(folder, { recursive: true });
    await assert.rejects(membership.useConfiguration([{ ...a, weight: 9 }]), /ENOENT/);
    assert.deepEqual(fixture.pool.names, ["a", "b"]);
    assert.equal(fixture.server("a").backend.weight, 1);
    await mkdir(folder);
    await membership.useConfiguration([{ ...a, weight: 9 }, b]);
    assert.equal(fixture.server("a").backend.weight, 9);
  });
});
