import assert from "node:assert/strict";
import { newBackend } from "./backend.js";
import { byteWeighted } from "./byte-weighted.js";
import { LeastLoad } from "./least-load.js";
import { candidates, type PickRecord, type ServerSnapshot } from "./pick.js";
import type { Policy } from "./policy.js";
import { SmoothWeightedRoundRobin } from "./smooth-wrr.js";

function snapshot(name: string, facts: Partial<ServerSnapshot> = {}): ServerSnapshot {
  const {
    limit: _limit,
    address: _address,
    backSinceMs: _back,
    ...backend
  } = newBackend({ name, address: `${name}:1`, weight: 5 }, 0);
  const health = { kind: "healthy", sinceMs: 100, reason: "answers SERVING", doubts: 0 } as const;
  return { ...backend, health, maxFiles: 8, effectiveWeight: 5, before: 200, ...facts };
}

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
    pool: { atMs: 1_000, policy: "weighted_round_robin", maxBytes: 1_000, servers },
    after: servers.map(() => -300),
    compared: undefined,
    ...facts,
  };
}

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
  ) {
    for (const [server, weight] of Object.entries(weights)) policy.offer(server, weight * 100);
    const before = Object.keys(weights).map((server) => snapshot(server, { before: policy.standing(server) }));
    const picked = policy.pick(sizeBytes);
    const after = Object.keys(weights).map((server) => policy.standing(server));
    const pool = { ...record(before).pool, policy: name };
    const told = candidates(record(before, { pool, after })).map((one) => `${one.server} ${one.before} ${one.after}`);
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
    assert.equal(policy.standing("a"), -2);
    policy.forget("a");
    assert.equal(policy.standing("a"), undefined);
  });

  it("gives what is on the way for the weight where the least load counts, and the two that were drawn", () => {
    const draws = [0, 0.9];
    const policy = new LeastLoad(
      (name) => (name === "a" ? 1_000 : 600),
      () => draws.shift() ?? 0,
    );
    assert.equal(standings(policy, { a: 2, b: 1, c: 1 }, 0, "least_load"), "a: a 500 500, b 600 600, c 600 600");
    assert.deepEqual(policy.compared, ["a", "c"]);
  });
});
