import assert from "node:assert/strict";
import fc from "fast-check";
import { type Backend, newBackend } from "./backend.js";
import { byteWeighted } from "./byte-weighted.js";
import { LeastLoad } from "./least-load.js";
import { candidates, isStillAs, type PickRecord, type ServerSnapshot, snapshotOf } from "./pick.js";
import type { Policy, Standings } from "./policy.js";
import { SmoothWeightedRoundRobin } from "./smooth-wrr.js";

function snapshot(name: string, facts: Partial<ServerSnapshot> = {}): ServerSnapshot {
  const {
    limit: _limit,
    address: _address,
    backSinceMs: _back,
    ...backend
  } = newBackend({ name, address: `${name}:1`, weight: 5 }, 0);
  const health = { kind: "healthy", sinceMs: 100, reason: "answers SERVING", doubts: 0 } as const;
  return { ...backend, health, maxFiles: 8, effectiveWeight: 5, ...facts };
}

const idle = () => 0;
const sorted = (standings: ReadonlyMap<string, number>) => [...standings].sort(([a], [b]) => a.localeCompare(b));

function record(servers: readonly ServerSnapshot[], facts: Partial<PickRecord> = {}): PickRecord {
  return {
    requestNumber: 1n,
    attempt: 1,
    client: "c",
    sizeBytes: 10,
    dueSinceMs: 900,
    server: servers[0]?.name ?? "",
    reason: "policy",
    refusedBy: new Set(),
    pool: {
      ...{ atMs: 1_000, policy: "weighted_round_robin", maxBytes: 1_000, servers: [servers] },
      standings: () => new Map(servers.map(({ name }) => [name, 200])),
    },
    after: () => new Map(servers.map(({ name }) => [name, -300])),
    compared: undefined,
    ...facts,
  };
}

describe("a server, taken down", () => {
  const backend: Backend = { ...newBackend({ name: "a", address: "a:1", weight: 5 }, 0), ejection: undefined };
  const spell = { sinceMs: 1, reason: "a reason" };
  const limits = { maxFiles: 8, maxBytes: 1_000 };
  const changes: { readonly [Fact in Exclude<keyof ServerSnapshot, "maxFiles" | "effectiveWeight">]: Backend[Fact] } = {
    name: "b",
    weight: 6,
    health: { ...backend.health },
    ...{ overload: spell, draining: spell, lapsed: spell, ejection: { ...spell, untilMs: 2 } },
    ...{ inFlightFiles: 1, inFlightBytes: 1, busyUntilMs: 1 },
  };

  it("is still as it was, however what is not told of it changes", () => {
    const same = { ...backend, address: "a:2", backSinceMs: 7 };
    assert.equal(isStillAs(snapshotOf(backend, limits, 5), same, { maxFiles: 8, maxBytes: 7 }, 5), true);
  });

  for (const [fact, changed] of Object.entries(changes))
    it(`is not as it was when this changes: ${fact}`, () => {
      const taken = snapshotOf(backend, limits, 5);
      assert.equal(isStillAs(taken, { ...backend, [fact]: changed }, limits, 5), false);
    });

  it("is not as it was when it takes another number of files, or counts for another weight", () => {
    const taken = snapshotOf(backend, limits, 5);
    assert.equal(isStillAs(taken, backend, { ...limits, maxFiles: 7 }, 5), false);
    assert.equal(isStillAs(taken, backend, limits, 4.5), false);
  });
});

describe("a choice, taken down", () => {
  const spell = { sinceMs: 400, reason: "memory" };
  const table: [string, Partial<ServerSnapshot>, string, boolean][] = [
    ["is available", {}, "available since 100: answers SERVING", true],
    ["is full", { inFlightFiles: 8, inFlightBytes: 7 }, "full since undefined: 8 files, 7 bytes on their way", false],
    ["is full of bytes", { inFlightBytes: 1_000 }, "full since undefined: 0 files, 1000 bytes on their way", false],
    ["is overloaded", { overload: spell }, "overloaded since 400: memory", false],
    ["drains", { draining: spell, inFlightFiles: 1 }, "draining since 400: memory", false],
    ["is ejected", { ejection: { ...spell, untilMs: 1_500 } }, "ejected since 400: memory; for another 500 ms", false],
    ["was ejected", { ejection: { ...spell, untilMs: 1_000 } }, "available since 100: answers SERVING", true],
    [
      "asked for a pause",
      { busyUntilMs: 1_200 },
      "busy since undefined: asked to be left alone for another 200 ms",
      false,
    ],
    [
      "is not well",
      { health: { kind: "unhealthy", sinceMs: 300, reason: "connection lost", doubts: 0 } },
      "unhealthy since 300: connection lost",
      false,
    ],
  ];
  for (const [title, facts, expected, compared] of table)
    it(`tells of a server that ${title}`, () => {
      const [candidate] = candidates(record([snapshot("a", facts)]));
      assert.ok(candidate);
      const { kind, sinceMs, reason } = candidate.state;
      assert.equal(`${kind} since ${sinceMs}: ${reason}`, expected);
      assert.equal(candidate.compared, compared);
    });

  it("tells who was compared: not who had refused the file, nor who was not drawn, nor anybody where no policy was asked", () => {
    const servers = ["a", "b", "c"].map((name) => snapshot(name));
    const compared = (facts: Partial<PickRecord>) =>
      candidates(record(servers, facts)).flatMap((candidate) => (candidate.compared ? [candidate.server] : []));
    assert.deepEqual(compared({}), ["a", "b", "c"]);
    assert.deepEqual(compared({ refusedBy: new Set(["b"]) }), ["a", "c"]);
    assert.deepEqual(compared({ compared: ["a", "c"] }), ["a", "c"]);
    assert.deepEqual(compared({ reason: "claimed" }), []);
  });

  /** Picks once, and tells how everybody stood before and after, as people are told. */
  function standings(
    policy: Policy,
    weights: Record<string, number>,
    sizeBytes: number,
    name: PickRecord["pool"]["policy"],
    onTheWay: Record<string, number> = {},
  ) {
    for (const [server, weight] of Object.entries(weights)) policy.offer(server, weight * 100);
    const servers = Object.keys(weights).map((server) => snapshot(server, { inFlightBytes: onTheWay[server] ?? 0 }));
    const before = policy.standings();
    const picked = policy.pick(sizeBytes);
    const pool = { ...record(servers).pool, policy: name, standings: before };
    const facts = { pool, after: policy.standings() };
    const told = candidates(record(servers, facts)).map((one) => `${one.server} ${one.before} ${one.after}`);
    return `${picked}: ${told.join(", ")}`;
  }

  it("gives the figures of the smooth sequence as the documentation has them", () => {
    const policy = new SmoothWeightedRoundRobin();
    const next = () => standings(policy, { a: 5, b: 1, c: 1 }, 0, "weighted_round_robin");
    assert.deepEqual(
      [next(), next(), next()],
      ["a: a 0 -2, b 0 1, c 0 1", "a: a -2 -4, b 1 2, c 1 2", "b: a -4 1, b 2 -4, c 2 3"],
    );
  });

  it("gives them by 64 bytes where files cost their size", () => {
    assert.equal(standings(byteWeighted(), { a: 2, b: 1 }, 640, "byte_weighted"), "a: a 0 -11, b 0 11");
  });

  it("keeps how a server stands that is withdrawn, and knows nothing of one that is forgotten", () => {
    const policy = new SmoothWeightedRoundRobin();
    policy.offer("a", 2);
    policy.offer("b", 2);
    policy.pick();
    policy.withdraw("a");
    const stood = policy.standings();
    policy.forget("a");
    assert.deepEqual(policy.standings()(idle), new Map([["b", 2]]));
    assert.deepEqual(
      stood(idle),
      new Map([
        ["a", -2],
        ["b", 2],
      ]),
    );
  });

  type Change = {
    readonly kind: "offer" | "withdraw" | "forget" | "pick";
    readonly at: number;
    readonly weight: number;
  };
  const change: fc.Arbitrary<Change> = fc.record({
    kind: fc.constantFrom("offer", "offer", "withdraw", "forget", "pick", "pick", "pick"),
    at: fc.nat(40),
    weight: fc.integer({ min: 1, max: 500 }),
  });
  for (const make of [() => new SmoothWeightedRoundRobin(), byteWeighted])
    it("keeps how all stood, whatever happens later, and as one that never told would have it (property)", () => {
      const changes = fc.array(fc.tuple(change, fc.boolean()), { maxLength: 200 });
      const run = fc.property(changes, (steps) => {
        const policy = make();
        const kept: [Standings, ReadonlyMap<string, number>][] = [];
        const apply = (one: Policy, { kind, at, weight }: Change) => {
          if (kind === "pick") return one.pick(weight);
          if (kind === "offer") one.offer(`s${at}`, weight);
          else one[kind](`s${at}`);
          return undefined;
        };
        for (const [index, [step, tell]] of steps.entries()) {
          apply(policy, step);
          if (!tell) continue;
          const silent = make();
          for (const [earlier] of steps.slice(0, index + 1)) apply(silent, earlier);
          const stands = policy.standings();
          assert.deepEqual(sorted(stands(idle)), sorted(silent.standings()(idle)));
          kept.push([stands, stands(idle)]);
        }
        for (const [stood, expected] of kept) assert.deepEqual(stood(idle), expected);
      });
      fc.assert(run, { numRuns: 60 });
    });

  it("gives what is on the way for the weight where the least load counts, and the two that were drawn", () => {
    const draws = [0, 0.9];
    const onTheWay = { a: 1_000, b: 600, c: 600 };
    const policy = new LeastLoad(
      (name) => onTheWay[name as keyof typeof onTheWay],
      () => draws.shift() ?? 0,
    );
    assert.equal(
      standings(policy, { a: 2, b: 1, c: 1 }, 0, "least_load", onTheWay),
      "a: a 500 500, b 600 600, c 600 600",
    );
    assert.deepEqual(policy.compared, ["a", "c"]);
  });
});
