import { type InFlightLimits, isFull } from "../domain/backend.js";
import { isStillAs, type PickRecord, type PoolSnapshot, type ServerSnapshot, snapshotOf } from "../domain/pick.js";
import { serverState } from "../domain/server-state.js";
import { SharedList } from "../domain/shared-list.js";
import { weightUnit } from "../domain/slow-start.js";
import type { Clock } from "../ports/clock.js";
import type { ServerView } from "../ports/server-keeper.js";
import type { PooledServer } from "./pooled-server.js";
import type { ServerChoice } from "./server-choice.js";

/** What the pool knows of one server. */
export type PoolView = Omit<ServerView, "unsettledFiles" | "leaseUntilMs">;

/** How the pool looks from outside: to an operator, and to whoever explains a choice. */
export class PoolViews {
  readonly #servers: ReadonlyMap<string, PooledServer>;
  readonly #choice: ServerChoice;
  readonly #limits: InFlightLimits;
  readonly #clock: Clock;
  /** The servers as they were last taken down. Few change from one choice to the next: choices share those that have not. */
  readonly #snapshots = new SharedList<ServerSnapshot>();

  constructor(servers: ReadonlyMap<string, PooledServer>, choice: ServerChoice, limits: InFlightLimits, clock: Clock) {
    this.#servers = servers;
    this.#choice = choice;
    this.#limits = limits;
    this.#clock = clock;
  }

  /** The pool as it is now, for whoever explains a choice that is about to be made. */
  snapshot(): PoolSnapshot {
    const atMs = this.#clock.nowMs();
    const { maxFiles, maxBytes } = this.#limits;
    const limits = { maxFiles, maxBytes };
    let index = 0;
    for (const server of this.#servers.values()) {
      const { backend } = server;
      const effectiveWeight = this.#choice.weightInHundredths(server, atMs) / weightUnit;
      const last = this.#snapshots.get(index);
      if (!last || !isStillAs(last, backend, limits, effectiveWeight))
        this.#snapshots.set(index, snapshotOf(backend, limits, effectiveWeight));
      index += 1;
    }
    this.#snapshots.truncate(index);
    const servers = this.#snapshots.share();
    const { policyName: policy } = this.#choice;
    return { atMs, policy, maxBytes, servers, standings: this.#choice.standings() };
  }

  /** How the servers stand in the policy now, and whom it compared last. */
  standings(): Pick<PickRecord, "after" | "compared"> {
    return { after: this.#choice.standings(), compared: this.#choice.compared };
  }

  all(): PoolView[] {
    return Array.from(this.#servers.values(), (server) => this.of(server));
  }

  of(server: PooledServer): PoolView {
    const { backend, load, storedFiles, storedBytes, failedAttempts } = server;
    return {
      backend,
      effectiveWeight: this.#choice.weightInHundredths(server) / weightUnit,
      full: isFull(backend, this.#limits),
      state: serverState(backend, this.#limits, this.#clock.nowMs()),
      load,
      ...{ storedFiles, storedBytes, failedAttempts },
    };
  }
}
