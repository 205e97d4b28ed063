import { type InFlightLimits, isFull } from "../domain/backend.js";
import { type PickRecord, type PoolSnapshot, snapshotOf } from "../domain/pick.js";
import { serverState } from "../domain/server-state.js";
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

  constructor(servers: ReadonlyMap<string, PooledServer>, choice: ServerChoice, limits: InFlightLimits, clock: Clock) {
    this.#servers = servers;
    this.#choice = choice;
    this.#limits = limits;
    this.#clock = clock;
  }

  /** The pool as it is now, for whoever explains a choice that is about to be made. */
  snapshot(): PoolSnapshot {
    const atMs = this.#clock.nowMs();
    const servers = Array.from(this.#servers.values(), (server) => {
      const { backend } = server;
      const effectiveWeight = this.#choice.weightInHundredths(server, atMs) / weightUnit;
      return snapshotOf(backend, this.#limits, effectiveWeight, this.#choice.standing(backend.name));
    });
    return { atMs, policy: this.#choice.policyName, maxBytes: this.#limits.maxBytes, servers };
  }

  /** How the servers of a snapshot stand in the policy now, and whom it compared last. */
  standings({ servers }: PoolSnapshot): Pick<PickRecord, "after" | "compared"> {
    return { after: servers.map(({ name }) => this.#choice.standing(name)), compared: this.#choice.compared };
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
