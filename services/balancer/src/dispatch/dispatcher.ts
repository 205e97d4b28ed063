import { isReachable } from "../domain/backend.js";
import type { PickReason, PoolSnapshot } from "../domain/pick.js";
import { decideRetry, type Failure, overdue, type RetryPolicy } from "../domain/retry.js";
import type { Clock } from "../ports/clock.js";
import type { LedgerIdentity } from "../ports/ledger-identity.js";
import type { Observer } from "../ports/observer.js";
import type { Delivery, Outbox, Suspicion } from "../ports/outbox.js";
import type { PickLog } from "../ports/pick-log.js";
import { type AttemptResult, attemptDelivery } from "./attempt.js";
import { ExtraCopies } from "./extra-copies.js";
import type { PooledServer } from "./pooled-server.js";
import { isServersFault, refusalFailure, shortened } from "./refusals.js";
import { earlyProblem, savedProblem, toSavedFile } from "./saved-file.js";
import type { ServerPool } from "./server-pool.js";

/** What the dispatcher works with. */
export interface DispatcherParts {
  readonly outbox: Outbox;
  readonly pool: ServerPool;
  readonly ledger: LedgerIdentity;
  /** `answerTimeoutMs`: how long a server may take to answer a file that it has in full, and to take the next message of one that it has not, in milliseconds. */
  readonly retry: RetryPolicy & { readonly answerTimeoutMs: number };
  readonly clock: Clock;
  readonly observer: Observer;
  /** Where choices are taken down; absent for nowhere. */
  readonly picks?: PickLog | undefined;
}

/** What goes out next, and who has claimed it. */
interface Next {
  readonly delivery: Delivery | undefined;
  readonly claimant?: PooledServer;
}

/** Where a file goes, and what put it there. */
interface Choice {
  readonly server: PooledServer;
  readonly reason: PickReason;
}

/** An attempt under way. */
interface Attempt {
  readonly number: number;
  /** Length of the file, where it was known when the server was chosen. */
  readonly sizeBytes: number | undefined;
}

/** How long an upload waits whose last servers to try are unavailable, while others must be avoided, in milliseconds. */
const avoidPauseMs = 250;
/** After this many lost answers in a row from one server, another one is tried. */
const sameServerTries = 2;

/** The loop that turns queued uploads into attempts, and attempts into receipts or retries. */
export class Dispatcher {
  readonly #parts: DispatcherParts;
  readonly #extraCopies: ExtraCopies;
  #running = 0;
  #looping = false;
  #stopping = false;
  #expiry: NodeJS.Timeout | undefined;
  #onIdle: (() => void) | undefined;

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    const { outbox, pool, ledger, observer } = parts;
    this.#extraCopies = new ExtraCopies(pool, outbox, ledger, observer);
    outbox.onReady(() => this.#loop());
    outbox.onSettled((settled) => this.#extraCopies.settled(settled));
    outbox.onBytesLost((requestNumber) => this.#extraCopies.bytesLost(requestNumber));
    pool.onChange(() => this.#loop());
    pool.onReturn((server) => this.#extraCopies.returned(server));
  }

  start(): void {
    const { pool, outbox, retry } = this.#parts;
    this.#expiry = setInterval(() => {
      for (const name of pool.names) pool.get(name)?.link.expire(retry.answerTimeoutMs);
      outbox.expireClaims();
    }, 1_000).unref();
    this.#loop();
  }

  /** Begins no more attempts, and waits for those under way, at most `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#expiry);
    if (this.#running === 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      timer = setTimeout(resolve, graceMs);
    });
    clearTimeout(timer);
  }

  /** How many files a server may hold of which it is not known whether it does. */
  unsettledOn(server: string): number {
    return this.#extraCopies.countOn(server);
  }

  #loop(): void {
    if (this.#looping) return;
    this.#looping = true;
    try {
      while (!this.#stopping && this.#parts.pool.anyAvailable) {
        const next = this.#claimed() ?? { delivery: this.#parts.outbox.take() };
        if (!next.delivery) break;
        const before = this.#parts.picks && this.#parts.pool.views.snapshot();
        const choice = this.#choose(next.delivery, next.claimant);
        if (choice) this.#begin(next.delivery, choice, before);
        else this.#hold(next.delivery);
      }
    } finally {
      this.#looping = false;
    }
  }

  /** Nobody who is available may be given it: it waits, unless its time is over. */
  #hold(delivery: Delivery): void {
    const { clock, retry } = this.#parts;
    const last = "no server is available that has not refused it";
    const late = overdue(clock.nowMs() - delivery.dueSinceMs, retry, last);
    if (late) delivery.reject(undefined, late);
    else delivery.release(avoidPauseMs);
  }

  /** The next upload whose claimant is available. Claims of servers that cannot be talked to, or whose lease has expired, are over. */
  #claimed(): Next | undefined {
    const { outbox, pool } = this.#parts;
    for (const name of outbox.claimants) {
      const claimant = pool.get(name);
      if (!claimant || !isReachable(claimant.backend) || claimant.backend.lapsed) {
        outbox.endClaims(name);
        continue;
      }
      const delivery = pool.isAvailable(claimant) ? outbox.takeClaimed(name) : undefined;
      if (delivery) return { delivery, claimant };
    }
    return undefined;
  }

  /**
   * A server that may hold the file already comes first, while it answers and has not refused it since; then the one that has claimed it; then
   * the next by weight that has not refused it.
   */
  #choose(delivery: Delivery, claimant: PooledServer | undefined): Choice | undefined {
    const { pool } = this.#parts;
    const tried = delivery.failures > 0;
    const refused = tried ? this.#refusedBy(delivery) : noServers;
    const suspect = tried ? this.#extraCopies.lastSuspect(delivery.requestNumber) : undefined;
    const again = suspect && suspect.times <= sameServerTries && !refused.has(suspect.server);
    const same = again ? pool.pickSame(suspect.server) : undefined;
    if (same) return { server: same, reason: "may_hold" };
    if (claimant) return { server: claimant, reason: "claimed" };
    const server = pool.pick(refused, delivery.sizeBytes);
    return server && { server, reason: pool.isAvailable(server) ? "policy" : "spilled" };
  }

  /**
   * The servers that have refused this upload, or have stored something else for it; none once nobody else could take it. Those that could and are away
   * are waited for between two attempts, for as long as an upload may wait for the next one.
   */
  #refusedBy(delivery: Delivery): ReadonlySet<string> {
    const { pool, clock, retry } = this.#parts;
    const refused = new Set(this.#extraCopies.wrongOn(delivery.requestNumber));
    let lastMs = Number.NEGATIVE_INFINITY;
    for (const { server, outcome, startedAtMs } of delivery.attempts) {
      // What was refused before the upload was revived may be taken now.
      if (outcome === "refused" && startedAtMs >= delivery.dueSinceMs) refused.add(server);
      if (outcome && refused.has(server)) lastMs = startedAtMs;
    }
    if (refused.size === 0) return noServers;
    const left = pool.names
      .flatMap((name) => (refused.has(name) ? [] : (pool.get(name)?.backend ?? [])))
      .filter(({ draining, lapsed }) => !draining && !lapsed);
    if (left.some(isReachable)) return refused;
    const agoMs = clock.nowMs() - lastMs;
    return left.length > 0 && agoMs >= 0 && agoMs < retry.maxDelayMs ? refused : noServers;
  }

  #begin(delivery: Delivery, choice: Choice, before: PoolSnapshot | undefined): void {
    const { pool, ledger, clock, observer } = this.#parts;
    const { sizeBytes } = delivery;
    const { server } = choice;
    const attempt = delivery.begin(server.backend.name);
    if (before) this.#takeDown(delivery, attempt, choice, before);
    const free = pool.occupy(server, sizeBytes);
    this.#running += 1;
    attemptDelivery(delivery, attempt, server.link, ledger, clock)
      .then((result) => {
        this.#takeDownEnd(delivery, attempt, result);
        this.#settle(delivery, server, { number: attempt, sizeBytes }, result);
      })
      .catch((error: unknown) => {
        observer.note({ kind: "fault", where: "settling an attempt", error });
      })
      .finally(() => {
        this.#running -= 1;
        free();
        if (this.#running === 0) this.#onIdle?.();
      });
  }

  /** Takes down a choice with what it was made from, before anything else changes. */
  #takeDown(delivery: Delivery, attempt: number, { server, reason }: Choice, pool: PoolSnapshot): void {
    const { requestNumber, client, sizeBytes, dueSinceMs, description } = delivery;
    const { after, compared } = this.#parts.pool.views.standings();
    this.#parts.picks?.picked({
      requestNumber,
      attempt,
      client,
      sizeBytes,
      priority: description.priority,
      dueSinceMs,
      server: server.backend.name,
      reason,
      refusedBy: attempt === 1 ? noServers : this.#refusedBy(delivery),
      pool,
      after,
      compared,
    });
  }

  #takeDownEnd({ requestNumber }: Delivery, attempt: number, { outcome }: AttemptResult): void {
    const { picks, clock } = this.#parts;
    if (!picks) return;
    const sizeBytes = outcome.kind === "saved" ? Number(outcome.saved.sizeBytes) : undefined;
    picks.ended({ requestNumber, attempt, outcome: outcome.kind, sizeBytes, atMs: clock.nowMs() });
  }

  #settle(delivery: Delivery, server: PooledServer, attempt: Attempt, { outcome, finishSentMs }: AttemptResult): void {
    const { pool, clock, ledger } = this.#parts;
    const { name } = server.backend;
    switch (outcome.kind) {
      case "void":
        delivery.release(outcome.pauseMs);
        return;
      case "saved": {
        const saved = toSavedFile(outcome.saved);
        const problem = earlyProblem(outcome) ?? savedProblem(saved, delivery);
        if (problem) {
          pool.failed(server);
          const message = `${name} reports ${problem} for what it has stored`;
          this.#extraCopies.suspect({ ...suspicionOf(delivery, name, attempt), isWrong: true });
          this.#failed(delivery, server, { kind: "lost", message });
          return;
        }
        pool.stored(server, attempt.sizeBytes, saved.sizeBytes, finishSentMs && clock.nowMs() - finishSentMs);
        if (delivery.stored(saved)) return;
        this.#extraCopies.suspect(suspicionOf(delivery, name, attempt));
        const lastOther = { term: ledger.term, attempt: attempt.number };
        this.#extraCopies.settled({ requestNumber: delivery.requestNumber, server: undefined, mark: { lastOther } });
        return;
      }
      case "busy":
        pool.pause(server, outcome.retryAfterMs);
        this.#failed(delivery, server, { kind: "busy" });
        return;
      case "lost":
        pool.failed(server);
        if (finishSentMs !== undefined) this.#extraCopies.suspect(suspicionOf(delivery, name, attempt));
        this.#failed(delivery, server, { kind: "lost", message: shortened(outcome.message) });
        return;
      case "refused": {
        if (isServersFault(outcome.reason)) pool.failed(server);
        const refused = new Set([...this.#refusedBy(delivery), name]);
        const everyServer = pool.names.every((other) => refused.has(other));
        this.#failed(delivery, server, refusalFailure(outcome.reason, shortened(outcome.message), everyServer));
      }
    }
  }

  #failed(delivery: Delivery, server: PooledServer, failure: Failure): void {
    const { clock, retry } = this.#parts;
    const outcome = failure.kind === "unacceptable" ? "refused" : failure.kind;
    if (outcome !== "busy") server.failedAttempts += 1;
    const failures = delivery.failures + (outcome === "busy" ? 0 : 1);
    const ageMs = clock.nowMs() - delivery.dueSinceMs;
    const decision = decideRetry(failure, failures, ageMs, retry, () => clock.random());
    if (decision.kind === "give-up") delivery.reject(outcome, decision.rejection);
    else delivery.requeue(outcome, describe(failure), decision.delayMs);
  }
}

const noServers: ReadonlySet<string> = new Set();

/** What a server may hold because of an attempt. */
function suspicionOf({ requestNumber, description }: Delivery, server: string, { number }: Attempt): Suspicion {
  return { server, requestNumber, uploadId: description.uploadId, attempt: number };
}

function describe(failure: Failure): string {
  switch (failure.kind) {
    case "busy":
      return "busy";
    case "unacceptable":
      return failure.rejection.message;
    default:
      return failure.message;
  }
}
