import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { BilanciaError } from "../domain/errors.js";
import type { Occurrence } from "../domain/occurrence.js";
import type { ServerEntry } from "../domain/server-entry.js";
import { FakeStorage } from "../test-support/fake-storage.js";
import { PoolFixture } from "../test-support/pool-fixture.js";
import { Membership, membersOf } from "./membership.js";
import { openMembership } from "./membership-file.js";
import { PoolKeeper } from "./pool-keeper.js";

const by = "ipv4:127.0.0.1:9";

describe("the keeper of the pool", function () {
  this.timeout(30_000);
  let folder: string;
  let fixture: PoolFixture;
  let configured: ServerEntry[];
  /** Files of which it is not known whether a has them. */
  let unsettled: number;
  let membership: Membership;
  let keeper: PoolKeeper;

  /** A keeper as a start of the balancer makes it, for a pool that is there already. */
  async function keep(): Promise<PoolKeeper> {
    const { file, facts } = await openMembership(folder, configured, { note: () => {} });
    const parts = {
      pool: fixture.pool,
      unsettled: (name: string) => (name === "a" ? unsettled : 0),
      clock: { nowMs: () => 1_000, random: Math.random },
      observer: { note: (occurrence: Occurrence) => fixture.occurrences.push(occurrence) },
    };
    membership = new Membership({ ...parts, facts, file });
    return new PoolKeeper({ ...parts, membership, leases: { untilMs: () => undefined } });
  }

  /** The pool that a restart would begin with: names, weights and whether they drain. */
  async function restarted(entries = configured): Promise<string> {
    const { facts } = await openMembership(folder, entries, {
      note: (occurrence) => fixture.occurrences.push(occurrence),
    });
    return membersOf(facts)
      .map(({ name, weight, drainingSinceMs }) => `${name}${weight}${drainingSinceMs ? "!" : ""}`)
      .join(" ");
  }

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-"));
    fixture = await PoolFixture.start([5, 1]);
    configured = fixture.pool.views.all().map(({ backend: { name, address, weight } }) => ({ name, address, weight }));
    unsettled = 0;
    keeper = await keep();
    fixture.occurrences.length = 0;
  });
  afterEach(async () => {
    membership.stop();
    fixture.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it("adds a server, which gets files at once, and after a restart", async () => {
    const storage = await FakeStorage.start();
    fixture.storages.push(storage);
    const { state } = await keeper.add({ name: "c", address: storage.address, weight: 6 }, by);
    assert.equal(state.kind, "available");
    assert.equal(fixture.picks(12).split("c").length - 1, 6);
    assert.equal(await restarted(), "a5 b1 c6");
    const told = fixture.occurrences.filter(({ kind }) => kind === "server-changed");
    assert.deepEqual(told, [
      { kind: "server-changed", server: "c", change: "added", detail: `${storage.address}, weight 6`, by },
    ]);
  });

  it("adds a server that is not there yet", async () => {
    const { state } = await keeper.add({ name: "c", address: "127.0.0.1:1", weight: 1 }, by);
    assert.equal(state.kind, "unhealthy");
    assert.doesNotMatch(fixture.picks(12), /c/);
    assert.equal(await restarted(), "a5 b1 c1");
  });

  it("gives a new weight", async () => {
    await keeper.setWeight("a", 1, by);
    assert.equal(fixture.picks(4), "a b a b");
    assert.equal(await restarted(), "a1 b1");
    await keeper.setWeight("a", 5, by);
    assert.equal(await restarted(), "a5 b1");
    assert.deepEqual(JSON.parse(await readFile(path.join(folder, "servers.json"), "utf8")), {
      changes: [],
      leases: [],
    });
  });

  it("drains a server: it gets nothing new, goes on with what it has, and says when it is empty", async () => {
    const free = fixture.pool.occupy(fixture.server("a"), 10);
    assert.equal((await keeper.drain("a", by)).state.kind, "draining");
    assert.equal(fixture.picks(2), "b b");
    free();
    assert.match(fixture.state("a"), /^drained/);
    assert.equal(fixture.picks(2), "b b");
    assert.equal(await restarted(), "a5! b1");
    assert.equal((await keeper.enable("a", by)).state.kind, "available");
    assert.equal(fixture.picks(6).split("a").length - 1, 5);
    assert.equal(await restarted(), "a5 b1");
  });

  it("keeps the order of several changes at once", async () => {
    await Promise.all([keeper.setWeight("a", 2, by), keeper.drain("a", by), keeper.setWeight("a", 3, by)]);
    assert.equal(await restarted(), "a3! b1");
  });

  it("removes a server only when nothing is left of it, or by force", async () => {
    const inUse = (words: RegExp) => (error: BilanciaError) =>
      error.reason === "SERVER_IN_USE" && words.test(error.message);
    await assert.rejects(keeper.remove("a", false, by), inUse(/a, which is not drained, with 0 files on their way/));
    await keeper.drain("a", by);
    const free = fixture.pool.occupy(fixture.server("a"), 10);
    await assert.rejects(
      keeper.remove("a", false, by),
      inUse(/draining, with 1 files on their way to it and 0 of which/),
    );
    free();
    unsettled = 2;
    await assert.rejects(
      keeper.remove("a", false, by),
      inUse(/0 files on their way to it and 2 of which it is not known/),
    );
    assert.equal((await keeper.drain("a", by)).unsettledFiles, 2);
    assert.equal(await restarted(), "a5! b1");

    await keeper.remove("a", true, by);
    assert.deepEqual(fixture.pool.names, ["b"]);
    assert.equal(await restarted(), "b1");
    await keeper.drain("b", by);
    await keeper.remove("b", false, by);
    assert.equal(fixture.pool.anyAvailable, false);
    assert.equal(await restarted(), "");
  });

  it("lets what ends on a removed server not count for another one of its name", async () => {
    const { pool } = fixture;
    const removed = fixture.server("b");
    const free = pool.occupy(removed, 10);
    await keeper.remove("b", true, by);
    await keeper.add({ name: "b", address: "127.0.0.1:1", weight: 1 }, by);
    free();
    pool.failed(removed);
    pool.pause(removed, 1);
    assert.match(fixture.state("b"), /^unhealthy/);
    assert.equal(fixture.picks(2), "a a");
    assert.equal(fixture.server("b").backend.inFlightFiles, 0);
  });

  it("changes nothing that cannot be made durable", async () => {
    await rm(folder, { recursive: true });
    await assert.rejects(keeper.setWeight("a", 9, by), /ENOENT/);
    await assert.rejects(keeper.remove("a", true, by), /ENOENT/);
    await assert.rejects(keeper.add({ name: "c", address: "h:1", weight: 1 }, by), /ENOENT/);
    assert.equal(fixture.picks(6), "a a a b a a");
    assert.ok(fixture.pool.pickSame("a"));
    await mkdir(folder);
    await keeper.setWeight("a", 9, by);
    assert.equal(await restarted(), "a9 b1");
  });

  const refusals: [what: string, change: () => Promise<unknown>, reason: string, message: RegExp][] = [
    [
      "a name that is taken",
      () => keeper.add({ name: "a", address: "h:1", weight: 1 }, by),
      "SERVER_EXISTS",
      /a name that no server has; came a, which is a at 127/,
    ],
    [
      "an address that is taken",
      () => keeper.add({ ...(configured[0] as ServerEntry), name: "c" }, by),
      "SERVER_EXISTS",
      /an address that no server has; came 127.*, which is a at/,
    ],
    [
      "a bad name",
      () => keeper.add({ name: "../c", address: "h:1", weight: 1 }, by),
      "INVALID_HEADER",
      /^name: expected a name of letters, .*; came "\.\.\/c"$/,
    ],
    [
      "a bad address",
      () => keeper.add({ name: "c", address: "h", weight: 1 }, by),
      "INVALID_HEADER",
      /^address: expected host:port .*; came "h"$/,
    ],
    [
      "a weight over the limit",
      () => keeper.add({ name: "c", address: "h:1", weight: 257 }, by),
      "INVALID_HEADER",
      /^weight: .* from 1 to 256; came 257$/,
    ],
    ["a new weight of 0", () => keeper.setWeight("a", 0, by), "INVALID_HEADER", /^weight: .* from 1 to 256; came 0$/],
    ["an unknown server", () => keeper.drain("storage-9", by), "UNKNOWN_SERVER", /one of a, b; came "storage-9"$/],
    ["no name", () => keeper.remove("", true, by), "UNKNOWN_SERVER", /one of a, b; came ""$/],
  ];
  for (const [what, change, reason, message] of refusals) {
    it(`refuses ${what}, and changes nothing`, async () => {
      await assert.rejects(change(), (error: unknown) => {
        assert.ok(error instanceof BilanciaError);
        assert.equal(error.reason, reason);
        assert.match(error.message, message);
        return true;
      });
      assert.equal(await restarted(), "a5 b1");
      assert.deepEqual(fixture.pool.names, ["a", "b"]);
    });
  }

  it("gives way to the configuration when that has changed since, for good, and says so", async () => {
    await keeper.setWeight("a", 7, by);
    const [a, b] = configured as [ServerEntry, ServerEntry];
    assert.equal(await restarted([{ ...a, weight: 6 }, b]), "a6 b1");
    const overruled = fixture.occurrences.filter((one) => one.kind === "server-changed" && one.change === "overruled");
    assert.equal(overruled.length, 1);
    assert.equal(await restarted(), "a5 b1");
  });

  for (const text of [
    "",
    "{",
    "[]",
    '{"changes":{}}',
    '{"changes":[null]}',
    '{"changes":[{"name":"a"}]}',
    '{"changes":[{"name":"a","now":{"name":"b","address":"h:1","weight":1}}]}',
    '{"changes":[{"name":"a","now":{"name":"a","address":"h","weight":1}}]}',
    '{"changes":[{"name":"a","now":{"name":"a","address":"h:1","weight":0}}]}',
    '{"changes":[{"name":"a","now":{"name":"a","address":"h:1","weight":1,"drainingSinceMs":"x"}}]}',
  ]) {
    it(`does not start on a damaged file: ${text || "an empty one"}`, async () => {
      await writeFile(path.join(folder, "servers.json"), text);
      await assert.rejects(
        restarted(),
        /servers\.json is damaged: (?!.*Invalid input).*expected .* Restore it .*, or remove it to go back/,
      );
    });
  }
});
