import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@bilancia/proto/testing/eventually";
import { BilanciaError } from "../domain/errors.js";
import type { ServerEntry } from "../domain/server-entry.js";
import type { PendingUploads } from "../ports/pending-uploads.js";
import type { UploadDirectory } from "../ports/upload-directory.js";
import { FakeStorage } from "../test-support/fake-storage.js";
import { nobody, PoolFixture } from "../test-support/pool-fixture.js";
import { Leases, type RegistrationSettings } from "./leases.js";
import { Membership } from "./membership.js";
import { type MembershipFile, openMembership } from "./membership-file.js";
import { PoolKeeper } from "./pool-keeper.js";
import { RegistryService } from "./registry-service.js";

const peer = "ipv4:10.0.0.9:1";

describe("servers that join by themselves", function () {
  this.timeout(30_000);
  let folder: string;
  let fixture: PoolFixture;
  let configured: ServerEntry[];
  let settings: { -readonly [Key in keyof RegistrationSettings]: RegistrationSettings[Key] };
  let membership: Membership;
  let keeper: PoolKeeper;
  let leases: Leases;
  let file: MembershipFile;
  let joining: ServerEntry;
  /** Files of which it is not known whether c has them. */
  let unsettled: number;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-"));
    fixture = await PoolFixture.start([1, 1]);
    configured = fixture.pool.views.all().map(({ backend: { name, address, weight } }) => ({ name, address, weight }));
    settings = { unknownServers: "accept", leaseMs: 60_000, forgetMs: 60_000 };
    unsettled = 0;
    const opened = await openMembership(folder, configured, { note: () => {} });
    const { facts } = opened;
    file = opened.file;
    const parts = {
      pool: fixture.pool,
      unsettled: (name: string) => (name === "c" ? unsettled : 0),
      clock: { nowMs: () => 1_000, random: Math.random },
      observer: { note: (occurrence: (typeof fixture.occurrences)[number]) => fixture.occurrences.push(occurrence) },
    };
    membership = new Membership({ ...parts, facts, file });
    leases = new Leases({ ...parts, settings, membership });
    keeper = new PoolKeeper({ ...parts, membership, leases });
    leases.start();
    joining = { name: "c", address: await another(), weight: 2 };
    fixture.occurrences.length = 0;
  });
  afterEach(async () => {
    leases.stop();
    membership.stop();
    fixture.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function another(): Promise<string> {
    const storage = await FakeStorage.start();
    fixture.storages.push(storage);
    return storage.address;
  }
  const join = (entry = joining) => leases.join(entry, "fake", peer);
  /** What the balancer answers a server that announces itself. */
  const announced = ({ name: server, address, weight }: ServerEntry) => {
    const registry = new RegistryService({
      ...{ pool: fixture.pool, leases, ledger: { origin: "a", term: 1 }, observer: { note: () => {} } },
      pending: {} as PendingUploads,
      uploads: { counts: () => ({ queuedFiles: 0 }) } as unknown as UploadDirectory,
    });
    const request = { server, address, weight, instanceId: "fake", version: "", capabilities: [] };
    const call = { request, getPeer: () => peer, getPath: () => "" } as unknown as Parameters<
      typeof registry.handlers.announce
    >[0];
    return new Promise<string>((resolve, reject) => {
      registry.handlers.announce(call, (error, answer) => {
        if (answer) resolve(`${answer.serving ? "" : "not "}serving: ${answer.reason}`);
        else reject(error);
      });
    });
  };
  const changes = () =>
    fixture.occurrences.flatMap((one) =>
      one.kind === "server-changed" ? [`${one.server} ${one.change} by ${one.by}`] : [],
    );
  const shareOfC = (picks = 40) => fixture.picks(picks).split("c").length - 1;
  const kept = async () => (await openMembership(folder, configured, { note: () => {} })).facts.leases;
  const expired = () => fixture.becomes("c", /^lease-expired: it has not renewed its lease of \d+ ms/);
  const refused = (reason: string, message: RegExp) => (error: unknown) =>
    error instanceof BilanciaError && error.reason === reason && message.test(error.message);

  it("have their share at once, and are kept over a restart", async () => {
    await join();
    assert.equal(shareOfC(), 20);
    assert.deepEqual(await kept(), [joining]);
    assert.deepEqual(changes(), [`c added by c itself, ${peer}`]);
    await join();
    assert.equal(changes().length, 1);
    assert.equal(leases.durationMs("c"), 60_000);
    assert.equal(leases.durationMs("a"), undefined);
  });

  it("get nothing new once the lease has expired, not even for want of others, and their share again once it is renewed", async () => {
    settings.leaseMs = 1;
    await join();
    await expired();
    assert.equal(shareOfC(), 0);
    assert.equal(fixture.pool.pick(new Set(["a", "b"]), 1), undefined);
    // What it may have is still found out.
    assert.ok(fixture.pool.pickSame("c"));
    settings.leaseMs = 60_000;
    leases.renew("c", "fake", peer);
    assert.equal(shareOfC(), 20);
    assert.deepEqual(changes().slice(1), [`c lease-expired by its lease`, `c lease-renewed by c itself, ${peer}`]);
  });

  it("keep their lease for as long as it is renewed", async () => {
    settings.leaseMs = 500;
    await join();
    for (let count = 0; count < 10; count++) {
      await delay(60);
      leases.renew("c", "fake", peer);
    }
    assert.match(fixture.state("c"), /^available/);
    await expired();
  });

  it("are forgotten some time after the lease has expired, once it is known which files they have", async () => {
    Object.assign(settings, { leaseMs: 1, forgetMs: 1 });
    unsettled = 1;
    await join();
    await expired();
    await delay(300);
    assert.match(fixture.state("c"), /^lease-expired/);
    unsettled = 0;
    await eventually("it is gone", () => fixture.pool.get("c") === undefined);
    assert.deepEqual(await kept(), []);
    await join();
    assert.ok(fixture.pool.get("c"));
  });

  it("are forgotten although the disk did not take that at first", async () => {
    Object.assign(settings, { leaseMs: 1, forgetMs: 1 });
    let isFull = false;
    const { write } = file;
    file.write = (facts) => (isFull ? Promise.reject(new Error("ENOSPC")) : write.call(file, facts));
    await join();
    isFull = true;
    const faults = () => fixture.occurrences.filter(({ kind }) => kind === "fault").length;
    await eventually("the disk has refused it", () => faults() > 0);
    await delay(500);
    assert.equal(faults(), 1);
    assert.match(fixture.state("c"), /^lease-expired/);
    isFull = false;
    await eventually("it is gone", () => fixture.pool.get("c") === undefined);
    assert.deepEqual(await kept(), []);
  });

  it("are not forgotten when they renew the lease at the last moment", async () => {
    Object.assign(settings, { leaseMs: 1, forgetMs: 1 });
    await join();
    const other = membership.inTurn(() => delay(500));
    await delay(300);
    settings.leaseMs = 60_000;
    leases.renew("c", "fake", peer);
    await other;
    await delay(100);
    assert.match(fixture.state("c"), /^available/);
    assert.deepEqual(await kept(), [joining]);
  });

  it("may come back at another address when the lease has expired, not before", async () => {
    await join();
    const moved = { ...joining, address: await another() };
    const held = /^expected a name that no server has; came c, which is c at .*, whose lease holds for another \d+ ms$/;
    await assert.rejects(join(moved), refused("SERVER_EXISTS", held));
    settings.leaseMs = 1;
    leases.renew("c", "fake", peer);
    await expired();
    settings.leaseMs = 60_000;
    await join(moved);
    await eventually("it is at the new address", () => fixture.pool.get("c")?.backend.address === moved.address);
    await fixture.becomes("c", /^available/);
    assert.deepEqual(await kept(), [moved]);
  });

  it("are told that the one at the address before leaves first, where something is on its way to that", async () => {
    await join();
    settings.leaseMs = 1;
    leases.renew("c", "fake", peer);
    await expired();
    settings.leaseMs = 60_000;
    const free = fixture.pool.occupy(fixture.server("c"), 5);
    fixture.occurrences.length = 0;
    const moved = { ...joining, address: await another() };
    for (let call = 0; call < 2; call++)
      assert.equal(
        await announced(moved),
        `not serving: c at ${joining.address} leaves first, when nothing is on its way to it any more`,
      );
    assert.deepEqual(changes(), [`c leaving by c itself, ${peer}`]);
    free();
    await eventually("it is at the new address", () => fixture.pool.get("c")?.backend.address === moved.address);
    assert.equal(await announced(moved), "serving: answers SERVING");
  });

  it("take the address of another whose lease has expired, not before", async () => {
    await join();
    const renamed = { ...joining, name: "d" };
    await assert.rejects(
      join(renamed),
      refused("SERVER_EXISTS", /^expected an address that no server has; came .*, which is c at/),
    );
    settings.leaseMs = 1;
    leases.renew("c", "fake", peer);
    await expired();
    settings.leaseMs = 60_000;
    await join(renamed);
    await eventually("c is gone", () => fixture.pool.get("c") === undefined);
    assert.deepEqual(await kept(), [renamed]);
  });

  const cases: [what: string, entry: () => Promise<ServerEntry> | ServerEntry, reason: string, message: RegExp][] = [
    [
      "without an address",
      () => ({ ...joining, address: "" }),
      "INVALID_HEADER",
      /^address: expected host:port .*; came ""$/,
    ],
    ["of too large a weight", () => ({ ...joining, weight: 257 }), "INVALID_HEADER", /^weight: .*; came 257$/],
    ["with an impossible name", () => ({ ...joining, name: "a/b" }), "INVALID_HEADER", /^name: .*; came "a\/b"$/],
    ["with the name of a configured one", () => ({ ...joining, name: "a" }), "SERVER_EXISTS", /came a, which is a at/],
    [
      "at the address of a configured one",
      () => ({ ...joining, address: fixture.server("a").backend.address }),
      "SERVER_EXISTS",
      /expected an address that no server has/,
    ],
    [
      "where nobody answers",
      () => ({ ...joining, address: "127.0.0.1:1" }),
      "SERVER_UNREACHABLE",
      /^expected c to answer at 127\.0\.0\.1:1; came UNAVAILABLE: /,
    ],
  ];
  for (const [what, entry, reason, message] of cases)
    it(`are refused ${what}`, async () => {
      await assert.rejects(join(await entry()), refused(reason, message));
      assert.deepEqual(fixture.pool.names, ["a", "b"]);
      assert.deepEqual(await kept(), []);
    });

  it("are refused where another process answers", async () => {
    const other = /^expected c to answer at .* as instance "mine"; came instance "fake"$/;
    await assert.rejects(leases.join(joining, "mine", peer), refused("SERVER_MISMATCH", other));
    assert.deepEqual(fixture.pool.names, ["a", "b"]);
  });

  it("cannot renew what they do not have, or another process has", async () => {
    assert.throws(
      () => leases.renew("c", "fake", peer),
      refused("UNKNOWN_SERVER", /expected a server with a lease.*; came "c"$/),
    );
    assert.throws(() => leases.renew("a", "fake", peer), refused("UNKNOWN_SERVER", /came "a"$/));
    await join();
    assert.throws(
      () => leases.renew("c", "mine", peer),
      refused("SERVER_MISMATCH", /instance "fake"; came instance "mine"$/),
    );
  });

  it("are still there after a restart, and have to announce themselves again", async () => {
    await join();
    leases.stop();
    leases = new Leases({
      settings,
      pool: fixture.pool,
      membership,
      unsettled: () => 0,
      clock: { nowMs: () => 1_000, random: Math.random },
      observer: { note: () => {} },
    });
    settings.leaseMs = 300;
    leases.start();
    assert.throws(() => leases.renew("c", "fake", peer), refused("UNKNOWN_SERVER", /announces itself first/));
    assert.match(fixture.state("c"), /^available/);
    await expired();
    await join();
    assert.match(fixture.state("c"), /^available/);
  });

  it("run out when none are wanted any more", async () => {
    settings.leaseMs = 1_000;
    await join();
    settings.unknownServers = "refuse";
    assert.equal(leases.areGranted, false);
    assert.throws(() => leases.renew("c", "fake", peer), refused("UNKNOWN_SERVER", /expected a server with a lease/));
    await expired();
  });

  it("need none any more once the configuration names them", async () => {
    await join();
    await membership.useConfiguration([...configured, { ...joining, weight: 1 }]);
    assert.equal(leases.durationMs("c"), undefined);
    assert.deepEqual(await kept(), []);
    assert.equal(shareOfC(30), 10);
  });

  it("are changed by an operator as others are, and join again when they are removed and still there", async () => {
    await join();
    await keeper.setWeight("c", 6, "operator");
    await join();
    assert.equal(shareOfC(), 30);
    await join({ ...joining, weight: 8 });
    assert.equal(shareOfC(), 32);
    await keeper.drain("c", "operator");
    await join({ ...joining, weight: 8 });
    assert.equal(shareOfC(), 0);
    await keeper.remove("c", false, "operator");
    assert.deepEqual(fixture.pool.names, ["a", "b"]);
    assert.deepEqual(await kept(), []);
    await join();
    assert.equal(shareOfC(), 20);
    assert.ok(fixture.pool.pick(nobody, 1));
  });
});
