import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import type { AuditEntry } from "@bilancia/proto/audit-chain";
import { type Server, ServerHealth } from "@bilancia/proto/gen/admin";
import { Ack } from "@bilancia/proto/gen/balancer";
import { Kind, type LoadResponse } from "@bilancia/proto/gen/storage";
import { StorageClient } from "@bilancia/proto/services";
import { callUnary } from "@bilancia/proto/unary";
import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import { balancerStatus, serversByName } from "./admin.js";
import { storedFiles } from "./folder-listing.js";
import { lbCliScript } from "./lb-cli.js";
import { eventually } from "./test-support/eventually.js";
import { allClaimed, claimWords, Registry } from "./test-support/registry.js";
import { sha256OfBytes, sha256OfFile } from "./test-support/sha256.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { textDocument, UploadSession, uploadHeader } from "./test-support/upload-session.js";

/** The next ordinary probe comes long after the test: who is found earlier has announced itself. */
const probeIntervalMs = 3_600_000;
const run = promisify(execFile);
const fileCount = 120;
const claimCount = 10;
/** A document takes a slow server 300 ms, and the balancer gives it two at a time. */
const characters = 2_000;
const slow = ["--simulate-work-ms-per-char", "0.15"];
const fast = ["--simulate-work-ms-per-char", "0"];
const victim = "storage-1";

const config = `
probe: { intervalMs: ${probeIntervalMs} }
limits: { maxInFlightFiles: 2 }
`;

/** Three servers, all of them killed while they were busy; what the servers have, and what the clients were promised. */
class Outage {
  readonly digests = new Map<string, string>();
  readonly registry: Registry;
  /** Numbers by file name. */
  readonly numbers = new Map<string, bigint>();

  private constructor(readonly test: TestCluster) {
    this.registry = new Registry(test.cluster.balancer.address);
  }

  static async begin(): Promise<Outage> {
    const serverArgs = { [victim]: slow, "storage-2": slow, "storage-3": slow };
    const outage = new Outage(await TestCluster.start({ weights: [1, 1, 1], serverArgs, balancerConfig: config }));
    await outage.#send();
    return outage;
  }

  /** Sends all files, and kills all servers while each has some. */
  async #send(): Promise<void> {
    const { cluster } = this.test;
    const session = new UploadSession(cluster.balancer.address);
    try {
      const names = new Map<string, string>();
      for (let index = 0; index < fileCount; index++) {
        const header = uploadHeader({
          name: `document-${index}.json`,
          kind: Kind.KIND_TEXT_DOCUMENT,
          ack: Ack.ACK_QUEUED,
        });
        const data = Buffer.concat([Buffer.from(" ".repeat(index)), textDocument(characters)]);
        names.set(header.uploadId, header.name);
        this.digests.set(header.name, sha256OfBytes(data));
        session.send({ header, offset: 0, data, finish: {} });
      }
      await eventually(() => {
        const queued = session.events.filter(({ event }) => event?.$case === "queued");
        assert.equal(queued.length, fileCount);
      });
      for (const { uploadId, requestNumber } of session.events)
        this.numbers.set(names.get(uploadId) ?? "", requestNumber);
    } finally {
      session.close();
    }
    await eventually(async () => {
      for (const { inFlightFiles } of (await this.servers()).values()) assert.equal(inFlightFiles, 2);
    });
    await Promise.all(cluster.servers.map(({ name }) => cluster.killServer(name, "SIGKILL")));
    await eventually(async () => {
      const { dispatchingFiles } = await balancerStatus(cluster.balancer.adminAddress);
      assert.equal(dispatchingFiles, 0n);
      for (const { health } of (await this.servers()).values())
        assert.equal(health, ServerHealth.SERVER_HEALTH_UNHEALTHY);
    });
  }

  servers(): Promise<Map<string, Server>> {
    return serversByName(this.test.cluster.balancer.adminAddress);
  }

  /** Starts a server again, which announces itself. */
  async restart(name: string, ...args: string[]): Promise<void> {
    await this.test.cluster.startServer(name, ["--balancer", this.test.cluster.balancer.address, ...args]);
  }

  /** Waits until a server is known to be healthy. Ordinary probes would take an hour. */
  async found(name: string): Promise<void> {
    await eventually(async () =>
      assert.equal((await this.servers()).get(name)?.health, ServerHealth.SERVER_HEALTH_HEALTHY),
    );
  }

  async #copies(): Promise<Map<string, string[]>> {
    const copies = new Map<string, string[]>();
    for (const { name: server, dir } of this.test.cluster.servers)
      for (const { name } of await storedFiles(dir)) copies.set(name, [...(copies.get(name) ?? []), server]);
    return copies;
  }

  /** Waits until the queue is empty and every file is on exactly one disk; says on whose, by request number. */
  async settled(): Promise<Map<bigint, string>> {
    const { cluster } = this.test;
    const homes = await eventually(async () => {
      const { queuedFiles, dispatchingFiles } = await balancerStatus(cluster.balancer.adminAddress);
      assert.equal(queuedFiles + dispatchingFiles, 0n);
      const copies = await this.#copies();
      assert.deepEqual([...copies.keys()].sort(), [...this.digests.keys()].sort());
      for (const [name, servers] of copies) assert.equal(servers.length, 1, `${name} is on ${servers.join(" and ")}`);
      return new Map([...copies].map(([name, [server = ""]]) => [this.numbers.get(name) ?? 0n, server]));
    }, 60_000);
    for (const { dir } of cluster.servers)
      for (const file of await storedFiles(dir))
        assert.equal(await sha256OfFile(file.path), this.digests.get(file.name));
    return homes;
  }

  /** What a server's log says of its announcements, oldest first. */
  async announced(name: string): Promise<Record<string, unknown>[]> {
    const lines = (await readFile(path.join(this.test.folder, "logs", `${name}.log`), "utf8")).trim().split("\n");
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ balancer }) => balancer);
  }

  /** What the audit says of claims on an upload, each by the victim. */
  async claims(number: bigint): Promise<string[]> {
    const file = path.join(this.test.folder, "balancer", "audit.jsonl");
    const { stdout } = await run(process.execPath, [lbCliScript, "trace", String(number), "--audit", file, "--json"]);
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Pick<AuditEntry, "kind" | "server" | "message">)
      .filter(({ kind }) => kind === "claimed" || kind === "claim-ended")
      .map(({ kind, server, message }) => {
        assert.equal(server, victim);
        return message === undefined ? kind : `${kind}: ${message}`;
      });
  }

  async end(passed: boolean): Promise<void> {
    this.registry.close();
    await this.test.finish(passed);
  }
}

describe("a server that comes back to a balancer with uploads that failed on it, and others that wait", function () {
  this.timeout(120_000);
  let outage: Outage;
  let failed: bigint[];
  let wanted: bigint[];

  before(async () => {
    outage = await Outage.begin();
  });
  after(async function () {
    await outage?.end(allPassed(this.test?.parent));
  });

  it("can list both while it is away, a page at a time", async () => {
    const waiting = await outage.registry.list(victim, false, 7);
    const numbers = waiting.map(({ requestNumber }) => requestNumber);
    assert.ok(numbers.length > 2 * claimCount, `only ${numbers.length} of ${fileCount} files wait`);
    assert.deepEqual(
      numbers,
      [...new Set(numbers)].sort((a, b) => Number(a - b)),
    );
    const here = await outage.registry.list(victim, true, 1);
    failed = here.map(({ requestNumber }) => requestNumber);
    assert.ok(failed.length > 0, `nothing had failed on ${victim}: the test tests nothing`);
    for (const { failedHere, name, sizeBytes, kind } of here) {
      assert.equal(failedHere?.server, victim);
      assert.ok(outage.digests.has(name));
      assert.ok(sizeBytes > BigInt(characters));
      assert.equal(kind, Kind.KIND_TEXT_DOCUMENT);
    }
    // The last ones in line: without a claim they would go to the others.
    wanted = numbers.filter((number) => !failed.includes(number)).slice(-claimCount);
  });

  it("can claim nothing while it is away", async () => {
    await assert.rejects(outage.registry.claim(victim, wanted), (error: ServiceError) => {
      assert.equal(error.code, status.UNAVAILABLE);
      assert.match(error.details, /^SERVER_UNREACHABLE: storage-1 cannot be talked to \(.+\); it should announce/);
      return true;
    });
  });

  it("is probed at once when it has announced itself, and claims by number", async () => {
    await outage.restart(victim, "--claim", "none");
    await outage.found(victim);
    const results = await outage.registry.claim(victim, wanted);
    assert.ok(allClaimed(results), claimWords(results).join(", "));
    assert.deepEqual(
      results.map(({ requestNumber }) => requestNumber),
      wanted,
    );
    assert.ok(allClaimed(await outage.registry.claim(victim, wanted.slice(-1))));
    // What failed on it is its own already, or about to be.
    for (const words of claimWords(await outage.registry.claim(victim, failed)))
      assert.match(words, /^(CLAIMED|DISPATCHING|STORED) storage-1$/);
    const claimed = (await outage.registry.list(victim, false, 1_000)).filter(({ claimedBy }) => claimedBy === victim);
    assert.ok(claimed.length > 0);
  });

  it("gets what it has claimed, and the faster others get the rest: each file once", async () => {
    const others = ["storage-2", "storage-3"];
    await Promise.all(others.map((name) => outage.restart(name, ...fast)));
    for (const name of others) await outage.found(name);
    const words = claimWords(await outage.registry.claim("storage-2", wanted));
    for (const word of words) assert.match(word, /^(CLAIMED_ELSEWHERE|DISPATCHING|STORED) storage-1$/);
    const homes = await outage.settled();
    for (const number of wanted) assert.equal(homes.get(number), victim, `request ${number}`);
    const elsewhere = [...homes.values()].filter((server) => server !== victim).length;
    assert.ok(elsewhere > 0, "everything is on the server that claimed some");
    for (const number of wanted)
      await eventually(async () =>
        assert.deepEqual(await outage.claims(number), ["claimed", "claim-ended: delivered"]),
      );
  });

  it("says in its log what it heard", async () => {
    const [announced] = (await outage.announced(victim)).filter(({ msg }) => msg === "announced");
    assert.equal(announced?.weight, 1);
    assert.ok(Number(announced?.waitingFiles) > 0);
    const claims = (await outage.announced("storage-2")).filter(({ msg }) => msg === "claimed what failed here");
    assert.equal(claims.length, 1);
  });
});

describe("a server that dies after it has claimed uploads", function () {
  this.timeout(120_000);
  let outage: Outage;

  before(async () => {
    outage = await Outage.begin();
  });
  after(async function () {
    await outage?.end(allPassed(this.test?.parent));
  });

  it("strands none of them, and none is there twice", async () => {
    await outage.restart(victim);
    await outage.found(victim);
    const waiting = await outage.registry.list(victim, false, 1_000);
    const wanted = waiting.map(({ requestNumber }) => requestNumber).slice(-claimCount);
    assert.ok(allClaimed(await outage.registry.claim(victim, wanted)));
    await outage.test.cluster.killServer(victim, "SIGKILL");
    await outage.restart("storage-2", ...fast);
    await eventually(async () => {
      const { queuedFiles, dispatchingFiles } = await balancerStatus(outage.test.cluster.balancer.adminAddress);
      assert.equal(queuedFiles + dispatchingFiles, 0n);
    }, 60_000);
    // What was lost on the others, and is stored on storage-2, is taken away when they are back.
    await outage.restart(victim);
    await outage.restart("storage-3");
    const homes = await outage.settled();
    const fellBack = wanted.filter((number) => homes.get(number) === "storage-2");
    assert.ok(fellBack.length > 0, "the server had stored all that it claimed before it died: the test tests nothing");
    for (const number of fellBack) {
      const [claimed, ended, ...more] = await outage.claims(number);
      assert.equal(claimed, "claimed");
      assert.match(ended ?? "", /^claim-ended: given back: /);
      assert.deepEqual(more, []);
    }
  });
});

describe("the registry and callers that have something wrong", function () {
  this.timeout(60_000);
  let test: TestCluster;
  let registry: Registry;
  let instanceId: string;

  before(async () => {
    test = await TestCluster.start({ weights: [1, 1] });
    registry = new Registry(test.cluster.balancer.address);
    const storage = new StorageClient(test.cluster.server("storage-1").address, credentials.createInsecure());
    const load = await callUnary<object, LoadResponse>(storage.load.bind(storage), {}, 5_000);
    storage.close();
    instanceId = load.instanceId;
  });
  after(async function () {
    registry?.close();
    await test?.finish(allPassed(this.test?.parent));
  });

  it("tells one that has nothing wrong what it has found", async () => {
    const { address } = test.cluster.server("storage-1");
    const answer = await registry.announce({ server: "storage-1", address, instanceId });
    const { origin, term } = await balancerStatus(test.cluster.balancer.adminAddress);
    const found = { serving: true, reason: "answers SERVING", weight: 1, waitingFiles: 0n, origin, term };
    assert.deepEqual(answer, { ...found, leaseDuration: undefined });
  });

  const cases: [what: string, call: () => Promise<unknown>, code: status, details: RegExp][] = [
    [
      "an unknown name",
      () => registry.announce({ server: "storage-9" }),
      status.NOT_FOUND,
      /^UNKNOWN_SERVER: expected the name of a configured server, one of storage-1, storage-2; this balancer accepts no others \(registration\.unknownServers is refuse\); came "storage-9"$/,
    ],
    ["no name", () => registry.page({ server: "" }), status.NOT_FOUND, /^UNKNOWN_SERVER: .+; came none$/],
    ["a name of 100,000 letters", () => registry.claim("x".repeat(100_000), [1n]), status.NOT_FOUND, /came "x{80}"$/],
    [
      "another address than the configured one",
      () => registry.announce({ server: "storage-1", address: "10.1.1.1:50061" }),
      status.FAILED_PRECONDITION,
      /^SERVER_MISMATCH: expected storage-1 at "127\.0\.0\.1:\d+", as the balancer is configured; came "10\.1\.1\.1:50061"$/,
    ],
    [
      "another server's name",
      () => registry.announce({ server: "storage-2", instanceId }),
      status.FAILED_PRECONDITION,
      /^SERVER_MISMATCH: expected storage-2 to answer at .+ as instance .+; came instance .+, which calls itself "storage-2"$/,
    ],
    [
      "an endless instance id",
      () => registry.announce({ server: "storage-1", instanceId: "i".repeat(129) }),
      status.INVALID_ARGUMENT,
      /expected instance_id to have at most 128 characters; came 129$/,
    ],
    [
      "no numbers",
      () => registry.claim("storage-1", []),
      status.INVALID_ARGUMENT,
      /expected 1 to 1000 request_numbers; came 0$/,
    ],
    [
      "too many numbers",
      () => registry.claim("storage-1", new Array(1_001).fill(1n)),
      status.INVALID_ARGUMENT,
      /expected 1 to 1000 request_numbers; came 1001$/,
    ],
    ["the number 0", () => registry.claim("storage-1", [1n, 0n]), status.INVALID_ARGUMENT, /from 1; came 0$/],
    [
      "too large a page",
      () => registry.page({ server: "storage-1", pageSize: 1_001 }),
      status.INVALID_ARGUMENT,
      /expected a page_size of at most 1000; came 1001$/,
    ],
    ...["-1", "01", "18446744073709551616", "' OR 1=1"].map((pageToken): (typeof cases)[number] => [
      `the page token ${pageToken}`,
      () => registry.page({ server: "storage-1", pageToken }),
      status.INVALID_ARGUMENT,
      /expected a page_token from the answer before; came ".+"$/,
    ]),
  ];
  for (const [what, call, code, details] of cases)
    it(`refuses ${what}, and says what was expected`, async () => {
      await assert.rejects(call(), (error: ServiceError) => {
        assert.equal(error.code, code, error.details);
        assert.match(error.details, details);
        return true;
      });
    });

  it("answers numbers that nobody knows one by one", async () => {
    const numbers = [4_711n, 2n ** 64n - 1n, 4_711n];
    assert.deepEqual(claimWords(await registry.claim("storage-1", numbers)), ["UNKNOWN", "UNKNOWN", "UNKNOWN"]);
  });
});
