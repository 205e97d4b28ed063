import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { eventually } from "@bilancia/proto/testing/eventually";
import fc from "fast-check";
import type { ClaimEnd } from "../domain/claim.js";
import type { Occurrence } from "../domain/occurrence.js";
import type { Delivery } from "../ports/outbox.js";
import type { PendingQuery } from "../ports/pending-uploads.js";
import { saved } from "../test-support/queue-bench.js";
import { describeFile, openUpload, RecordingListener, sendFile } from "../test-support/queue-fixtures.js";
import { openTestQueue, roomy, type TestQueue } from "../test-support/test-queue.js";
import type { UploadQueue } from "./upload-queue.js";

const claimMs = 60_000;
const all = () => true;

/** What was told of claims, in order: which upload, what, and whose claim it is. */
function claimsTold(noted: readonly Occurrence[]): [number: bigint, what: "claimed" | ClaimEnd, server: string][] {
  const told: [bigint, "claimed" | ClaimEnd, string][] = [];
  for (const occurrence of noted) {
    if (occurrence.kind !== "claimed" && occurrence.kind !== "claim-ended") continue;
    const what = occurrence.kind === "claimed" ? occurrence.kind : occurrence.end;
    told.push([occurrence.upload.requestNumber, what, occurrence.server]);
  }
  return told;
}

describe("what waits, and who claims it", () => {
  for (const kind of ["memory", "embedded"] as const)
    describe(`queue: ${kind}`, () => {
      let folder: string;
      let queue: UploadQueue;
      let opened: TestQueue;
      let nowMs: number;

      async function start(): Promise<void> {
        nowMs = 1_000_000;
        const limits = { ...roomy, maxFiles: 20_000 };
        opened = await openTestQueue(folder, { kept: kind === "embedded", limits, nowMs: () => nowMs });
        queue = opened.queue;
      }

      beforeEach(async () => {
        folder = await mkdtemp(path.join(tmpdir(), "bilancia-claims-"));
        await start();
      });
      afterEach(async () => {
        await opened.stop();
        await rm(folder, { recursive: true, force: true });
      });

      /** Sends small files and waits until all are safe; returns their numbers. */
      async function send(count: number): Promise<bigint[]> {
        const listener = new RecordingListener();
        const numbers = Array.from(
          { length: count },
          () => sendFile(queue, describeFile({ ack: "queued" }), listener).requestNumber,
        );
        await eventually("the files to be queued", () => listener.news.length === count);
        return numbers;
      }
      const numbersOf = (query: Partial<PendingQuery> = {}) =>
        queue.pending
          .list({ server: "a", failedHere: false, after: 0n, limit: 1_000, ...query })
          .uploads.map(({ requestNumber }) => requestNumber);
      const claim = (server: string, requestNumber: bigint) =>
        Object.values(queue.pending.claim(server, requestNumber, all)).join(" ");
      const fail = (outcome: "lost" | "refused", delayMs: number, server = "a"): bigint => {
        const delivery = queue.take();
        assert.ok(delivery);
        delivery.begin(server);
        if (outcome === "lost") void delivery.intend();
        delivery.requeue(outcome, "test", delayMs);
        return delivery.requestNumber;
      };
      const taken = (): bigint[] => {
        const numbers: bigint[] = [];
        for (let delivery = queue.take(); delivery; delivery = queue.take()) numbers.push(delivery.requestNumber);
        return numbers;
      };

      it("is listed by number, a page at a time, each upload once", async () => {
        // Beyond 2,000 the embedded queue knows waiting uploads from its ledger alone.
        const numbers = await send(2_300);
        const listed: bigint[] = [];
        let after: bigint | undefined = 0n;
        let pages = 0;
        while (after !== undefined) {
          const page = queue.pending.list({ server: "a", failedHere: false, after, limit: 500 });
          assert.ok(page.uploads.length <= 500);
          listed.push(...page.uploads.map(({ requestNumber }) => requestNumber));
          after = page.next;
          pages += 1;
        }
        assert.deepEqual(listed, numbers);
        assert.equal(pages, 5);
        assert.deepEqual(numbersOf({ after: 2n ** 64n - 1n }), []);
      });

      it("is listed with what a server wants to know", async () => {
        const [first, second] = await send(2);
        assert.equal(fail("refused", 60_000), first);
        assert.equal(claim("b", second as bigint), "claimed b");
        const { uploads, next } = queue.pending.list({ server: "a", failedHere: false, after: 0n, limit: 10 });
        assert.equal(next, undefined);
        assert.deepEqual(
          uploads.map(({ requestNumber, sizeBytes, attemptCount, failedHere, claimedBy }) => [
            ...[requestNumber, sizeBytes, attemptCount, failedHere?.outcome, claimedBy],
          ]),
          [
            [first, 5, 1, "refused", undefined],
            [second, 5, 0, undefined, "b"],
          ],
        );
        assert.deepEqual(numbersOf({ failedHere: true }), [first]);
        assert.deepEqual(numbersOf({ failedHere: true, server: "b" }), []);
      });

      it("does not hold what arrives, is on its way, or has ended", async () => {
        const [taken, cancelled, waiting] = await send(3);
        openUpload(queue, describeFile(), new RecordingListener());
        assert.equal(queue.take()?.requestNumber, taken);
        void queue.cancel({ requestNumber: cancelled as bigint });
        assert.deepEqual(numbersOf(), [waiting]);
      });

      it("goes to its claimant only, ahead of what it has not claimed", async () => {
        const [first, second, third] = (await send(3)) as [bigint, bigint, bigint];
        assert.equal(claim("a", third), "claimed a");
        assert.equal(claim("a", first), "claimed a");
        assert.deepEqual([...queue.claimants], ["a"]);
        assert.equal(queue.takeClaimed("b"), undefined);
        assert.deepEqual(taken(), [second]);
        assert.equal(queue.takeClaimed("a")?.requestNumber, third);
        assert.equal(queue.takeClaimed("a")?.requestNumber, first);
        assert.equal(queue.takeClaimed("a"), undefined);
        assert.deepEqual([...queue.claimants], []);
        assert.deepEqual(taken(), []);
      });

      it("does not wait for its next attempt any longer once it is claimed", async () => {
        const [first] = await send(1);
        fail("refused", 3_600_000);
        let ready = 0;
        queue.onReady(() => {
          ready += 1;
        });
        assert.deepEqual(taken(), []);
        assert.equal(claim("a", first as bigint), "claimed a");
        assert.equal(ready, 1);
        assert.equal(queue.takeClaimed("a")?.requestNumber, first);
      });

      it("is claimed once, and again by the same server without effect", async () => {
        const [first] = (await send(1)) as [bigint];
        assert.equal(claim("a", first), "claimed a");
        assert.equal(claim("a", first), "claimed a");
        assert.equal(claim("b", first), "claimed-elsewhere a");
        const delivery = queue.takeClaimed("a");
        delivery?.begin("a");
        assert.equal(claim("a", first), "dispatching a");
        assert.equal(claim("b", first), "dispatching a");
        assert.equal(queue.takeClaimed("a"), undefined);
        delivery?.stored(saved);
        assert.equal(claim("b", first), "stored a");
        assert.equal(claim("b", 4_711n), "unknown");
      });

      it("is not claimed from under a server that may hold it and can be asked", async () => {
        const [first] = (await send(1)) as [bigint];
        fail("lost", 0);
        const reachable = (names: string[]) => (name: string) => names.includes(name);
        assert.deepEqual(queue.pending.claim("b", first, reachable(["a", "b"])), { kind: "unsettled", server: "a" });
        assert.deepEqual(queue.pending.claim("b", first, reachable(["b"])), { kind: "claimed", server: "b" });
      });

      it("stays claimed when its server was busy, and no longer when it refused or the answer was lost", async () => {
        for (const [outcome, claimed] of [
          ["busy", true],
          ["refused", false],
          ["lost", false],
        ] as const) {
          const [number] = (await send(1)) as [bigint];
          claim("a", number);
          const delivery = queue.takeClaimed("a");
          delivery?.begin("a");
          delivery?.requeue(outcome, "test", 0);
          const next = claimed ? queue.takeClaimed("a") : queue.take();
          assert.equal(next?.requestNumber, number, outcome);
          assert.deepEqual(taken(), []);
          assert.equal(queue.takeClaimed("a"), undefined);
        }
      });

      it("is its claimant's again after an attempt that was void, also when it is claimed anew meanwhile", async () => {
        const [first] = (await send(1)) as [bigint];
        claim("a", first);
        queue.takeClaimed("a")?.release(20);
        assert.equal(claim("a", first), "claimed a");
        assert.deepEqual(taken(), []);
        await eventually("the pause to end", () => queue.takeClaimed("a")?.requestNumber === first);
      });

      it("is not tried early, through the number that the claim has left in the common line", async () => {
        const [first, second] = (await send(2)) as [bigint, bigint];
        claim("a", first);
        const delivery = queue.takeClaimed("a");
        delivery?.begin("a");
        delivery?.requeue("refused", "test", 3_600_000);
        assert.deepEqual(taken(), [second]);
        assert.deepEqual(numbersOf(), [first]);
      });

      it("goes to anybody when the claimant is gone, whether or not its turn had come", async () => {
        const [first, second, third] = (await send(3)) as [bigint, bigint, bigint];
        claim("a", first);
        claim("a", third);
        assert.equal(queue.take()?.requestNumber, second);
        queue.endClaims("a");
        assert.deepEqual(taken().sort(), [first, third]);
        assert.equal(queue.takeClaimed("a"), undefined);
        assert.deepEqual(
          opened.noted.filter(({ kind }) => kind === "claims-ended"),
          [{ kind: "claims-ended", server: "a", files: 2 }],
        );
      });

      it("goes to anybody when it was claimed for too long; claiming again begins anew", async () => {
        const [first, second] = (await send(2)) as [bigint, bigint];
        claim("a", first);
        claim("a", second);
        assert.deepEqual(taken(), []);
        nowMs += claimMs - 1;
        claim("a", second);
        queue.expireClaims();
        assert.deepEqual(taken(), []);
        nowMs += 1;
        queue.expireClaims();
        assert.deepEqual(taken(), [first]);
        assert.equal(queue.takeClaimed("a")?.requestNumber, second);
      });

      it("leaves nothing behind when it is cancelled", async () => {
        const [first] = (await send(1)) as [bigint];
        claim("a", first);
        void queue.cancel({ requestNumber: first });
        assert.equal(queue.takeClaimed("a"), undefined);
        assert.equal(claim("a", first), "dead");
      });

      it("is claimed by one server up to a limit", async () => {
        const [first, more, tooMany, ...numbers] = (await send(10_002)) as [bigint, bigint, bigint, ...bigint[]];
        for (const number of [first, ...numbers]) assert.equal(claim("a", number), "claimed a");
        assert.equal(claim("a", more), "too-many");
        assert.equal(claim("a", first), "claimed a");
        const delivery = queue.takeClaimed("a");
        delivery?.begin("a");
        delivery?.stored(saved);
        assert.equal(claim("a", more), "claimed a");
        assert.equal(claim("a", tooMany), "too-many");
        assert.equal(claim("b", tooMany), "claimed b");
      }).timeout(60_000);

      const ends: [end: ClaimEnd, how: (number: bigint) => void][] = [
        ["delivered", () => attemptBy("a").stored(saved)],
        ["refused", () => attemptBy("a").requeue("refused", "test", 0)],
        ["lost", () => attemptBy("a").requeue("lost", "test", 0)],
        ["given-up", (requestNumber) => queue.cancel({ requestNumber })],
        ["unreachable", () => queue.endClaims("a")],
        [
          "expired",
          () => {
            nowMs += claimMs;
            queue.expireClaims();
          },
        ],
        // A server that may hold the file comes before its claimant.
        ["stored-elsewhere", () => attemptBy("a", "b").stored(saved)],
      ];
      const attemptBy = (claimant: string, server = claimant): Delivery => {
        const delivery = queue.takeClaimed(claimant);
        assert.ok(delivery);
        delivery.begin(server);
        return delivery;
      };
      for (const [end, how] of ends)
        it(`is told to have been claimed, once, and how that ended: ${end}`, async () => {
          const [number] = (await send(1)) as [bigint];
          claim("a", number);
          claim("a", number);
          how(number);
          queue.endClaims("a");
          assert.deepEqual(claimsTold(opened.noted), [
            [number, "claimed", "a"],
            [number, end, "a"],
          ]);
        });

      if (kind === "embedded")
        it("is claimed no more after a restart, and lost by nobody", async () => {
          const numbers = await send(3);
          claim("a", numbers[0] as bigint);
          await opened.stop();
          await start();
          assert.equal(queue.takeClaimed("a"), undefined);
          assert.deepEqual(numbersOf(), numbers);
          assert.deepEqual(taken(), numbers);
        });

      const step = fc.record({
        upload: fc.nat(4),
        server: fc.constantFrom("a", "b"),
        action: fc.constantFrom(
          ...["claim", "take", "takeClaimed", "end", "expire"],
          ...["save", "busy", "void", "refused", "rest"],
        ),
      });
      it("is never given out twice at a time, never to another than its claimant, and never lost (property)", async () => {
        const run = fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
          const numbers = await send(5);
          const out = new Map<bigint, Delivery>();
          const claims = new Map<bigint, string>();
          const stored = new Set<bigint>();
          const given = (delivery: Delivery | undefined, claimant: string | undefined) => {
            if (!delivery) return;
            const { requestNumber } = delivery;
            assert.ok(!out.has(requestNumber) && !stored.has(requestNumber), "given out twice");
            assert.equal(claims.get(requestNumber), claimant);
            delivery.begin(claimant ?? "c");
            out.set(requestNumber, delivery);
          };
          const ended = (isOver: (number: bigint, server: string) => boolean) => {
            for (const [number, server] of claims) if (isOver(number, server)) claims.delete(number);
          };
          for (const { upload, server, action } of steps) {
            const number = numbers[upload] as bigint;
            const delivery = out.get(number);
            if (action === "claim") {
              if (claim(server, number) === `claimed ${server}`) claims.set(number, server);
            } else if (action === "take") given(queue.take(), undefined);
            else if (action === "takeClaimed") given(queue.takeClaimed(server), server);
            else if (action === "end") {
              queue.endClaims(server);
              ended((_, claimant) => claimant === server);
            } else if (action === "expire") {
              nowMs += claimMs;
              queue.expireClaims();
              ended(() => true);
            } else if (delivery) {
              out.delete(number);
              if (action === "save") {
                delivery.stored(saved);
                stored.add(number);
              } else if (action === "busy") delivery.requeue("busy", "test", 0);
              else if (action === "void") delivery.release(1);
              else delivery.requeue("refused", "test", action === "rest" ? 1 : 0);
              if (action !== "busy" && action !== "void") claims.delete(number);
            }
          }
          for (const delivery of out.values()) delivery.release(0);
          nowMs += claimMs;
          queue.expireClaims();
          await eventually("every upload to come out", () => {
            for (let delivery = queue.take(); delivery; delivery = queue.take()) {
              delivery.begin("c");
              delivery.stored(saved);
              assert.ok(!stored.has(delivery.requestNumber), "given out after its end");
              stored.add(delivery.requestNumber);
            }
            return stored.size === numbers.length;
          });
          for (const number of numbers) {
            const told = claimsTold(opened.noted).filter(([about]) => about === number);
            // Each claim ends once, before the next one.
            for (const [index, [, what, server]] of told.entries()) {
              assert.equal(what === "claimed", index % 2 === 0);
              assert.equal(server, told[index - (index % 2)]?.[2]);
            }
            assert.equal(told.length % 2, 0, "a claim that did not end");
          }
          const { queuedFiles, dispatchingFiles } = queue.counts();
          assert.equal(queuedFiles + dispatchingFiles, 0);
        });
        await fc.assert(run, { numRuns: 60 });
      }).timeout(60_000);
    });
});
