import assert from "node:assert/strict";
import fc from "fast-check";
import { type PlacedFile, serversOf, summarize } from "./load-summary.js";
import type { TracedServer, TraceLine } from "./pick-trace.js";
import { type PolicyName, policyNames } from "./policy.js";
import { type Priority, priorities } from "./priority.js";
import { LoadReader, type RecordedLoad } from "./recorded-load.js";
import { type SimulationSettings, simulate } from "./simulation.js";

/** A file to make a trace of: everything went to `a`, at once. */
interface Sent {
  readonly atMs: number;
  readonly sizeBytes: number;
  readonly client?: string;
  readonly priority?: Priority;
}

/** What each server takes for a file, for each byte and the 4 KiB that a file costs beside. */
type Slowness = Readonly<Record<string, number>>;

const costOf = (sizeBytes: number) => sizeBytes + 4_096;

function serverOf(server: string, weight: number, changes: Partial<TracedServer> = {}): TracedServer {
  const facts = { state: "available", why: "", refused: false, compared: true, maxFiles: 1_000 } as const;
  return { server, weight, effectiveWeight: weight, inFlightFiles: 0, inFlightBytes: 0, ...facts, ...changes };
}

function pickLine(
  number: number,
  file: Omit<PlacedFile, "workMs"> & Pick<Sent, "client" | "priority">,
  servers: TracedServer[],
): TraceLine {
  const { server, arrivedMs, placedMs: atMs, sizeBytes, client = "c", priority } = file;
  const facts = { policy: "weighted_round_robin", reason: "policy", maxBytes: 1e12 } as const;
  return {
    kind: "pick",
    requestNumber: String(number),
    attempt: 1,
    client,
    sizeBytes,
    priority,
    arrivedMs,
    atMs,
    server,
    servers,
    ...facts,
  };
}

function endLine(number: number, atMs: number, sizeBytes?: number): TraceLine {
  return { kind: "end", requestNumber: String(number), attempt: 1, outcome: "saved", sizeBytes, atMs };
}

function read(lines: readonly TraceLine[]): RecordedLoad {
  const reader = new LoadReader();
  for (const line of lines) reader.add(line);
  return reader.load();
}

/** A load in which each server was tried by one file, so that it is known how slow it is, and the files then came. */
function loadOf(files: readonly Sent[], slowness: Slowness, servers: TracedServer[]): RecordedLoad {
  const lines: TraceLine[] = [];
  const names = Object.keys(slowness);
  let freeMs = 0;
  const all = [
    ...names.map((server) => ({ atMs: 0, sizeBytes: 1_000, server })),
    ...files.map((file) => ({ ...file, server: names[0] ?? "" })),
  ];
  all.forEach((file, at) => {
    const { atMs, sizeBytes, server } = file;
    const workMs = costOf(sizeBytes) * (slowness[server] ?? 0);
    if (server === names[0]) freeMs = Math.max(freeMs, atMs) + workMs;
    lines.push(pickLine(at, { ...file, arrivedMs: atMs, placedMs: atMs, storedMs: 0 }, servers));
    lines.push(endLine(at, server === names[0] ? freeMs : workMs, sizeBytes));
  });
  return read(lines);
}

function settings(policy: PolicyName, weights: Record<string, number> = {}): SimulationSettings {
  let state = 7;
  const random = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  return { policy, weights: new Map(Object.entries(weights)), random };
}

const counts = (files: readonly PlacedFile[]) => {
  const shares = new Map<string, number>();
  for (const { server } of files) shares.set(server, (shares.get(server) ?? 0) + 1);
  return Object.fromEntries(shares);
};

describe("a recorded load", () => {
  it("takes a server's work from its answers: the time in which it had any", () => {
    const servers = [serverOf("a", 1), serverOf("b", 1)];
    const file = (server: string, placedMs: number) => ({ server, arrivedMs: 0, placedMs, storedMs: 0, sizeBytes: 9 });
    const load = read([
      pickLine(1, file("a", 1), servers),
      pickLine(2, file("a", 2), servers),
      pickLine(3, file("b", 2), servers),
      // Two answers at once, and one that overtook.
      endLine(1, 6, 9),
      endLine(2, 6, 9),
      pickLine(4, file("a", 10), servers),
      endLine(4, 12, 9),
      endLine(3, 20, 9),
    ]);
    assert.deepEqual(
      load.files.map(({ server, placedMs, workMs }) => `${server} ${placedMs} ${workMs}`),
      ["a 1 5", "a 2 0", "b 2 18", "a 10 2"],
    );
    const { servers: shares, waitMs, spanMs } = summarize(load.files, serversOf(load));
    assert.deepEqual(
      shares.map(({ server, files, idleMs, fileShare }) => `${server} ${files} ${idleMs} ${fileShare}`),
      ["a 3 13 0.75", "b 1 2 0.25"],
    );
    assert.deepEqual([waitMs, spanMs], [{ p50: 6, p99: 20, max: 20 }, 20]);
  });

  it("counts what is left out", () => {
    const servers = [serverOf("a", 1)];
    const file = { server: "a", arrivedMs: 0, placedMs: 1, storedMs: 0, sizeBytes: 9 };
    const load = read([
      pickLine(1, file, servers),
      { kind: "end", requestNumber: "1", attempt: 1, outcome: "lost", atMs: 2 },
      pickLine(2, file, servers),
      endLine(3, 9),
      { kind: "gap", lines: 5 },
    ]);
    const { files, failedAttempts, halfAttempts, missingLines } = load;
    assert.deepEqual([files.length, failedAttempts, halfAttempts, missingLines], [0, 1, 2, 5]);
  });
});

describe("a simulated load", () => {
  const equal = { a: 0.001, b: 0.001, c: 0.001 };
  const sent = (count: number, everyMs: number, sizeBytes = 1_000): Sent[] =>
    Array.from({ length: count }, (_, at) => ({ atMs: at * everyMs, sizeBytes }));

  it("follows the weights, those recorded or those given", () => {
    const load = loadOf(sent(697, 1), equal, [serverOf("a", 5), serverOf("b", 1), serverOf("c", 1)]);
    assert.deepEqual(counts(simulate(load, settings("weighted_round_robin")).files), { a: 500, b: 100, c: 100 });
    const given = settings("weighted_round_robin", { a: 1, b: 2, c: 4 });
    assert.deepEqual(counts(simulate(load, given).files), { a: 100, b: 200, c: 400 });
  });

  it("follows the weights by bytes where they are to", () => {
    const files = Array.from({ length: 3_000 }, (_, at) => ({
      atMs: at,
      sizeBytes: at % 10 === 0 ? 500_000 : 2_000 + at,
    }));
    const quick = { a: 1e-6, b: 1e-6, c: 1e-6 };
    const load = loadOf(files, quick, [serverOf("a", 2), serverOf("b", 1), serverOf("c", 1)]);
    const { servers } = summarize(simulate(load, settings("byte_weighted")).files, serversOf(load));
    for (const [at, share] of [0.5, 0.25, 0.25].entries())
      assert.ok(Math.abs((servers[at]?.byteShare ?? 0) - share) < 0.01, JSON.stringify(servers));
  });

  it("keeps away from a slow server where the least load counts, and waits less for it", () => {
    const slow = { a: 0.001, b: 0.001, c: 0.02 };
    const load = loadOf(
      sent(3_000, 4),
      slow,
      ["a", "b", "c"].map((name) => serverOf(name, 1)),
    );
    const summary = (policy: PolicyName) => summarize(simulate(load, settings(policy)).files, serversOf(load));
    const [robin, least] = [summary("weighted_round_robin"), summary("least_load")];
    assert.ok(least.waitMs.p99 * 4 < robin.waitMs.p99, `${least.waitMs.p99} ${robin.waitMs.p99}`);
    assert.ok((least.servers[2]?.fileShare ?? 1) < 0.1);
    // What is slow has no time to be idle; the others have, where they get no more than their share.
    assert.ok((robin.servers[2]?.idleShare ?? 1) < 0.05 && (robin.servers[0]?.idleShare ?? 0) > 0.5);
  });

  it("gives a server nothing while it was overloaded, and no more at a time than its limit", () => {
    const servers = (state: TracedServer["state"]) => [
      serverOf("a", 1, { maxFiles: 3 }),
      serverOf("b", 1, { state, maxFiles: 2 }),
    ];
    const file = (atMs: number) => ({ server: "a", arrivedMs: atMs, placedMs: atMs, storedMs: 0, sizeBytes: 10 });
    const lines = Array.from({ length: 300 }, (_, at) => [
      pickLine(at, file(at), servers(at >= 100 && at < 200 ? "overloaded" : "available")),
      endLine(at, at + 1, 10),
    ]);
    const { files } = simulate(read(lines.flat()), settings("weighted_round_robin"));
    assert.equal(files.length, 300);
    assert.deepEqual(
      files.filter(({ server, placedMs }) => server === "b" && placedMs >= 100 && placedMs < 200),
      [],
    );
    assert.ok(files.filter(({ server }) => server === "b").length >= 90);
    for (const [server, limit] of [
      ["a", 3],
      ["b", 2],
    ] as const) {
      const own = files.filter((one) => one.server === server);
      for (const { placedMs } of own) {
        const under = own.filter((other) => other.placedMs <= placedMs && other.storedMs > placedMs).length;
        assert.ok(under <= limit, `${under} on ${server}`);
      }
    }
  });

  it("leaves files unplaced for which no server was left", () => {
    const file = { server: "a", arrivedMs: 0, placedMs: 0, storedMs: 0, sizeBytes: 10 };
    const gone = pickLine(2, { ...file, placedMs: 1 }, [serverOf("a", 1, { state: "unhealthy" })]);
    const load = read([pickLine(1, file, [serverOf("a", 1)]), endLine(1, 9, 10), gone, endLine(2, 9, 10)]);
    assert.equal(simulate({ ...load, pools: load.pools.slice(1) }, settings("weighted_round_robin")).unplacedFiles, 2);
  });

  it("lets a client's single file pass by the many of another", () => {
    const many = Array.from({ length: 2_000 }, () => ({ atMs: 0, sizeBytes: 1_000, client: "many" }));
    const load = loadOf([...many, { atMs: 1, sizeBytes: 1_001, client: "one" }], { a: 0.001 }, [
      serverOf("a", 1, { maxFiles: 10 }),
    ]);
    const { files } = simulate(load, settings("weighted_round_robin"));
    const one = files.findIndex(({ sizeBytes }) => sizeBytes === 1_001);
    assert.ok(one < 100, String(one));
  });

  it("lets what was urgent go before the others of its client", () => {
    const urgency = [...Array(1).fill("low"), ...Array(4).fill("normal"), ...Array(16).fill("high")] as Priority[];
    const sizes: Record<Priority, number> = { low: 1_001, normal: 1_002, high: 1_003 };
    const files = urgency.map((priority) => ({ atMs: 0, sizeBytes: sizes[priority], priority }));
    const load = loadOf(files, { a: 0.001 }, [serverOf("a", 1, { maxFiles: 1 })]);
    // The first one is that by which it is known how slow the server is.
    const order = simulate(load, settings("weighted_round_robin")).files.slice(1);
    const letters = order.map(({ sizeBytes }) => priorities.find((each) => sizes[each] === sizeBytes)?.slice(0, 1));
    assert.equal(letters.join(""), "hhhhnhhhhnhhhhnhhhhnl");
  });

  it("is the load itself under the policy that it was recorded with, whichever that is (property)", () => {
    const size = fc.integer({ min: 0, max: 300_000 });
    const file = fc.record({ atMs: fc.integer({ min: 0, max: 2_000 }), sizeBytes: size });
    const slow = fc.double({ min: 0.0001, max: 0.01, noNaN: true });
    const weight = fc.integer({ min: 1, max: 9 });
    const one = fc.record({ slow, weight, maxFiles: fc.integer({ min: 1, max: 20 }) });
    fc.assert(
      fc.property(
        fc.array(file, { minLength: 1, maxLength: 80 }),
        fc.array(one, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(...policyNames),
        (files, each, policy) => {
          const servers = each.map(({ weight: w, maxFiles }, at) => serverOf(`s${at}`, w, { maxFiles }));
          const slowness = Object.fromEntries(each.map(({ slow: s }, at) => [`s${at}`, s]));
          const inOrder = files.toSorted((a, b) => a.atMs - b.atMs);
          const truth = simulate(loadOf(inOrder, slowness, servers), settings(policy)).files;
          assert.equal(truth.length, files.length + each.length);
          // What the balancer would have recorded of it.
          const again = read([
            ...truth.map((placed, at) => pickLine(at, placed, servers)),
            ...truth.map(({ storedMs, sizeBytes }, at) => endLine(at, storedMs, sizeBytes)),
          ]);
          const sum = (all: readonly PlacedFile[]) => summarize(all, Object.keys(slowness));
          const told = (summary: ReturnType<typeof sum>) => [
            ...summary.servers.flatMap((share) => [share.files, share.bytes, share.idleMs]),
            ...Object.values(summary.waitMs),
          ];
          const near = (a: readonly number[], b: readonly number[]) =>
            assert.ok(
              a.every((figure, at) => Math.abs(figure - (b[at] ?? Number.NaN)) < 1e-3),
              `${a} ${b}`,
            );
          near(told(sum(again.files)), told(sum(truth)));
          near(told(sum(simulate(again, settings(policy)).files)), told(sum(truth)));
        },
      ),
      { numRuns: 200 },
    );
  });
});
