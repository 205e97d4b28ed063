import assert from "node:assert/strict";
import {
  type AnnounceRequest,
  type AnnounceResponse,
  ClaimOutcome,
  type ClaimPendingRequest,
  type ClaimPendingResponse,
  type ListPendingRequest,
  type ListPendingResponse,
  PendingFilter,
  type PendingUpload,
  RegistryService,
  type RenewRequest,
  type RenewResponse,
} from "@bilancia/proto/gen/registry";
import { Capability, Kind } from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import { eventually } from "@bilancia/proto/testing/eventually";
import { toDuration } from "@bilancia/proto/time";
import { type handleUnaryCall, Server, status } from "@grpc/grpc-js";
import { announceDelayMs } from "./announcer.js";
import type { RawOptions } from "./config.js";
import { startTestServer, withFolder } from "./testing/test-server.js";

const found: AnnounceResponse = {
  serving: true,
  reason: "",
  weight: 3,
  waitingFiles: 7n,
  origin: "",
  term: 2n,
  leaseDuration: undefined,
};

const leaseMs = 60;

/** A balancer's registry that says what it is told to say, and remembers what it was asked. */
class FakeRegistry {
  readonly announced: AnnounceRequest[] = [];
  readonly listed: ListPendingRequest[] = [];
  readonly claimed: bigint[][] = [];
  readonly renewed: RenewRequest[] = [];
  /** What the first renewals are answered; the rest gets a lease. */
  renewals: (RenewResponse | { code: status; details: string })[] = [];
  /** What the first calls are answered; the rest gets `found`. */
  answers: (AnnounceResponse | { code: status; details: string })[] = [];
  pages: bigint[][] = [[]];
  /** The calls that are answered only when `release` is called. */
  held: "announce" | "listPending" | undefined;
  release: (() => void) | undefined;
  readonly #server = new Server();

  async start(address = "127.0.0.1:0"): Promise<string> {
    const announce: handleUnaryCall<AnnounceRequest, AnnounceResponse> = ({ request }, callback) => {
      this.announced.push(request);
      const answer = this.answers.shift() ?? found;
      if ("code" in answer) callback(answer);
      else this.#answer("announce", () => callback(null, answer));
    };
    const listPending: handleUnaryCall<ListPendingRequest, ListPendingResponse> = ({ request }, callback) => {
      this.listed.push(request);
      const page = Number(request.pageToken || 0);
      const uploads = (this.pages[page] ?? []).map(waiting);
      const nextPageToken = page + 1 < this.pages.length ? String(page + 1) : "";
      this.#answer("listPending", () => callback(null, { uploads, nextPageToken }));
    };
    const claimPending: handleUnaryCall<ClaimPendingRequest, ClaimPendingResponse> = ({ request }, callback) => {
      this.claimed.push(request.requestNumbers);
      // Odd ones can be had.
      const results = request.requestNumbers.map((requestNumber) => ({
        requestNumber,
        outcome: requestNumber % 2n ? ClaimOutcome.CLAIM_OUTCOME_CLAIMED : ClaimOutcome.CLAIM_OUTCOME_STORED,
        server: "",
      }));
      callback(null, { results, claimDuration: undefined });
    };
    const renew: handleUnaryCall<RenewRequest, RenewResponse> = ({ request }, callback) => {
      this.renewed.push(request);
      const answer = this.renewals.shift() ?? { leaseDuration: toDuration(leaseMs) };
      if ("code" in answer) callback(answer);
      else callback(null, answer);
    };
    this.#server.addService(RegistryService, { announce, listPending, claimPending, renew });
    return listen(this.#server, address);
  }

  #answer(call: FakeRegistry["held"], answer: () => void): void {
    if (call === this.held) this.release = answer;
    else answer();
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

function waiting(requestNumber: bigint): PendingUpload {
  return {
    requestNumber,
    name: "a",
    sizeBytes: 1n,
    kind: Kind.KIND_BINARY,
    receivedAt: undefined,
    attemptCount: 1,
    failedHere: undefined,
    claimedBy: "",
  };
}

describe("a storage server that knows its balancer", () => {
  /** Runs a test with a registry and a server that announces itself there. */
  async function withRegistry(
    options: RawOptions,
    prepare: (registry: FakeRegistry) => void,
    test: (registry: FakeRegistry, server: Awaited<ReturnType<typeof startTestServer>>) => Promise<void>,
  ): Promise<void> {
    const registry = new FakeRegistry();
    prepare(registry);
    const balancer = await registry.start();
    try {
      await withFolder(async (dir) => {
        const server = await startTestServer(dir, { balancer, ...options });
        try {
          await test(registry, server);
        } finally {
          await server.stop();
        }
      });
    } finally {
      registry.stop();
    }
  }
  const messages = (logged: Record<string, unknown>[]) =>
    logged.filter(({ balancer }) => balancer).map(({ msg }) => msg);
  const nothing = () => {};

  it("announces itself with what its load report says, and logs what it hears", () =>
    withRegistry({ name: "s-1", claim: "none" }, nothing, async (registry, { address, client, logged }) => {
      await eventually("the announcement", () => messages(logged).includes("announced"));
      const load = await new Promise<{ instanceId: string; version: string } | undefined>((resolve) =>
        client.load({}, (_error, response) => resolve(response)),
      );
      assert.ok(load);
      const { instanceId, version } = load;
      const capabilities = [
        Capability.CAPABILITY_WATCH_LOAD,
        Capability.CAPABILITY_STAT,
        Capability.CAPABILITY_DISCARD,
      ];
      assert.deepEqual(registry.announced, [{ server: "s-1", address, instanceId, version, capabilities, weight: 1 }]);
      const { weight, waitingFiles, term } = logged.find(({ msg }) => msg === "announced") ?? {};
      assert.deepEqual({ weight, waitingFiles, term }, { weight: 3, waitingFiles: 7, term: 2 });
      assert.deepEqual(registry.listed, []);
    }));

  for (const [what, options, expected] of [
    ["what it advertises", { advertise: "storage-1.internal:50061" }, "storage-1.internal:50061"],
    ["nothing when it listens on all interfaces", { listen: "0.0.0.0:0" }, ""],
    ["nothing when it listens on all interfaces of IPv6", { listen: "[::]:0" }, ""],
    ["what it advertises on all interfaces", { listen: "0.0.0.0:0", advertise: "10.0.0.5:50061" }, "10.0.0.5:50061"],
  ] as const)
    it(`gives as its address ${what}`, () =>
      withRegistry(options, nothing, async (registry) => {
        await eventually("the announcement", () => registry.announced.length > 0);
        assert.equal(registry.announced[0]?.address, expected);
      }));

  it("claims what failed on it, page by page", () =>
    withRegistry(
      {},
      (registry) => {
        registry.pages = [[1n, 2n, 3n], [], [5n]];
      },
      async (registry, { logged }) => {
        await eventually("the claims", () => messages(logged).includes("claimed what failed here"));
        assert.deepEqual(registry.claimed, [[1n, 2n, 3n], [5n]]);
        assert.deepEqual(
          registry.listed.map(({ server, filter, pageToken }) => [server, filter, pageToken]),
          ["", "1", "2"].map((token) => ["storage-1", PendingFilter.PENDING_FILTER_FAILED_HERE, token]),
        );
        const { failed, claimed, stored } = logged.find(({ msg }) => msg === "claimed what failed here") ?? {};
        assert.deepEqual({ failed, claimed, stored }, { failed: 4, claimed: 3, stored: 1 });
      },
    ));

  for (const held of ["announce", "listPending"] as const)
    it(`stops quietly while ${held} is under way`, () =>
      withFolder(async (dir) => {
        const registry = new FakeRegistry();
        registry.held = held;
        registry.pages = [[1n]];
        const server = await startTestServer(dir, { balancer: await registry.start() });
        await eventually("the call", () => registry.release !== undefined);
        const stopped = server.stop();
        registry.release?.();
        await stopped;
        await new Promise((resolve) => setTimeout(resolve, 300));
        assert.deepEqual(registry.claimed, []);
        const errors = server.logged.filter(({ level }) => Number(level) > 40);
        assert.deepEqual(errors, []);
        registry.stop();
      }));

  it("goes on until the balancer takes it and reaches it, and says the same thing once, however long a lease still holds", () =>
    withRegistry(
      {},
      (registry) => {
        const refused = (leaseMs: number) => ({
          code: status.NOT_FOUND,
          details: `its lease holds for another ${leaseMs} ms`,
        });
        registry.answers = [refused(925), refused(412), { ...found, serving: false, reason: "no route" }];
      },
      async (registry, { logged }) => {
        await eventually("the announcement", () => messages(logged).includes("announced"));
        assert.equal(registry.announced.length, 4);
        assert.deepEqual(
          logged.filter(({ msg }) => msg === "not announced yet").map(({ level, reason }) => [level, reason]),
          [
            [40, "NOT_FOUND: its lease holds for another 925 ms"],
            [20, "NOT_FOUND: its lease holds for another 412 ms"],
            [40, "the balancer does not reach this server: no route"],
          ],
        );
      },
    )).timeout(20_000);

  describe("and has a lease there", () => {
    const granted = { ...found, leaseDuration: toDuration(leaseMs) };

    it("renews it again and again, also when that fails for a while", () =>
      withRegistry(
        { weight: "7" },
        (registry) => {
          registry.answers = [granted];
          registry.renewals = [{ code: status.UNAVAILABLE, details: "away" }];
        },
        async (registry, { logged }) => {
          await eventually("renewals", () => registry.renewed.length > 3);
          const [{ instanceId, weight } = {}] = registry.announced;
          assert.equal(weight, 7);
          for (const renewal of registry.renewed) assert.deepEqual(renewal, { server: "storage-1", instanceId });
          assert.equal(registry.announced.length, 1);
          assert.equal(logged.find(({ msg }) => msg === "announced")?.leaseMs, leaseMs);
          assert.equal(logged.find(({ msg }) => msg === "lease not renewed")?.reason, "UNAVAILABLE: away");
        },
      ));

    it("announces itself again when the balancer does not know of it any more", () =>
      withRegistry(
        {},
        (registry) => {
          registry.answers = [granted, granted];
          registry.renewals = [{ code: status.NOT_FOUND, details: "who?" }];
        },
        async (registry) => {
          await eventually("renewals", () => registry.announced.length === 2 && registry.renewed.length > 2);
        },
      ));

    it("renews it no more when it needs none any more", () =>
      withRegistry(
        {},
        (registry) => {
          registry.answers = [granted];
          registry.renewals = [{ leaseDuration: undefined }];
        },
        async (registry, { logged }) => {
          await eventually("the end", () => messages(logged).some((one) => /^no lease needed/.test(String(one))));
          assert.equal(registry.renewed.length, 1);
        },
      ));
  });

  it("serves while no balancer is there, tells each that comes, and stops at once", () =>
    withFolder(async (dir) => {
      // Ports that are free, and were somebody's a moment ago.
      const addresses = await Promise.all(
        [0, 1].map(async () => {
          const somebody = new FakeRegistry();
          const address = await somebody.start();
          somebody.stop();
          return address;
        }),
      );
      const server = await startTestServer(dir, { balancer: addresses.join(",") });
      const registry = new FakeRegistry();
      try {
        const reason = () => String(server.logged.find(({ msg }) => msg === "not announced yet")?.reason);
        await eventually("a try in vain", () => /^UNAVAILABLE: connect ECONNREFUSED [^ ]+$/.test(reason()));
        await registry.start(addresses[1]);
        await eventually("the announcement", () => registry.announced.length === 1);
      } finally {
        // The other balancer is still being waited for: that holds nothing up.
        const stoppingMs = performance.now();
        await server.stop();
        registry.stop();
        assert.ok(performance.now() - stoppingMs < 10_000);
      }
    })).timeout(20_000);
});

describe("the pause before the next announcement", () => {
  for (const [failures, random, expectedMs] of [
    [1, 0, 250],
    [1, 0.999_999, 500],
    [2, 0.5, 750],
    [6, 0, 8_000],
    [7, 0, 15_000],
    [7, 0.999_999, 30_000],
    [1_000, 0.999_999, 30_000],
  ] as const)
    it(`is ${expectedMs} ms after ${failures} failures with chance ${random}`, () =>
      assert.equal(announceDelayMs(failures, random), expectedMs));
});
