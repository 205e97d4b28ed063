import { BilanciaError } from "../domain/errors.js";
import { changesAfter, type Member } from "../domain/membership.js";
import type { ServerEntry } from "../domain/server-entry.js";
import type { Clock } from "../ports/clock.js";
import type { Observer } from "../ports/observer.js";
import type { ServerKeeper, ServerView } from "../ports/server-keeper.js";
import { checkEntry, checkField } from "./entry-check.js";
import type { Leases } from "./leases.js";
import { baseOf, type Membership } from "./membership.js";
import type { PoolView } from "./pool-views.js";
import type { PooledServer } from "./pooled-server.js";
import type { ServerPool } from "./server-pool.js";

/** What the keeper works with. */
export interface PoolKeeperParts {
  readonly pool: ServerPool;
  readonly membership: Membership;
  readonly leases: Pick<Leases, "untilMs">;
  /** How many files a server may hold of which it is not known whether it does. */
  readonly unsettled: (name: string) => number;
  readonly clock: Clock;
  readonly observer: Observer;
}

/** Changes the pool as an operator wants it: one change after another, each made durable first, and then put in force. */
export class PoolKeeper implements ServerKeeper {
  readonly #parts: PoolKeeperParts;

  constructor(parts: PoolKeeperParts) {
    this.#parts = parts;
  }

  servers(): ServerView[] {
    return this.#parts.pool.views.all().map((view) => this.#settledView(view));
  }

  add(entry: ServerEntry, by: string): Promise<ServerView> {
    return this.#inTurn(async () => {
      checkEntry(entry);
      for (const { backend } of this.#parts.pool.all()) {
        for (const field of ["name", "address"] as const) {
          if (backend[field] !== entry[field]) continue;
          const message = `expected ${field === "name" ? "a name" : "an address"} that no server has`;
          throw new BilanciaError("SERVER_EXISTS", `${message}; came ${entry[field]}, which is ${describe(backend)}`);
        }
      }
      await this.#keep(entry.name, entry);
      this.#tell(entry.name, "added", `${entry.address}, weight ${entry.weight}`, by);
      return this.#shaped(entry.name, by);
    });
  }

  setWeight(name: string, weight: number, by: string): Promise<ServerView> {
    return this.#inTurn(async () => {
      const server = this.#member(name);
      checkField("weight", weight);
      const before = server.backend.weight;
      await this.#keep(name, { ...memberOf(server), weight });
      this.#tell(name, "weight", `${weight}, before ${before}`, by);
      return this.#shaped(name, by);
    });
  }

  drain(name: string, by: string): Promise<ServerView> {
    return this.#inTurn(async () => {
      const server = this.#member(name);
      if (!server.backend.draining) {
        await this.#keep(name, { ...memberOf(server), drainingSinceMs: this.#parts.clock.nowMs() });
        this.#tell(name, "draining", "it gets nothing new", by);
      }
      return this.#shaped(name, by);
    });
  }

  enable(name: string, by: string): Promise<ServerView> {
    return this.#inTurn(async () => {
      const server = this.#member(name);
      if (server.backend.draining) {
        await this.#keep(name, { ...memberOf(server), drainingSinceMs: undefined });
        this.#tell(name, "enabled", "it gets files again", by);
      }
      return this.#shaped(name, by);
    });
  }

  remove(name: string, force: boolean, by: string): Promise<ServerView> {
    return this.#inTurn(async () => {
      const server = this.#server(name);
      const { draining, inFlightFiles } = server.backend;
      const unsettled = this.#parts.unsettled(name);
      if (!force && (!draining || inFlightFiles > 0 || unsettled > 0)) {
        const state = draining ? "draining" : "not drained";
        throw new BilanciaError(
          "SERVER_IN_USE",
          `expected a drained server without open outcomes, or force; came ${name}, which is ${state}, ` +
            `with ${inFlightFiles} files on their way to it and ${unsettled} of which it is not known whether it has them`,
        );
      }
      const view = this.#view(name);
      server.leaving = true;
      try {
        // One that leaves by itself is no member any more, and of its name another one may be.
        if (server.retiring === undefined) await this.#keep(name, undefined);
      } catch (error) {
        server.leaving = false;
        throw error;
      }
      this.#tell(name, "removed", `${force ? "by force; " : ""}${inFlightFiles} on their way, ${unsettled} open`, by);
      this.#parts.pool.remove(server);
      await this.#parts.membership.shape(by);
      return view;
    });
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#parts.membership.inTurn(work);
  }

  /** Makes durable how a server is to be. Where that fails nothing has changed. */
  async #keep(name: string, now: Member | undefined): Promise<void> {
    const { membership } = this.#parts;
    const { changes, leases } = membership.facts;
    const entry = baseOf(membership.facts).find((candidate) => candidate.name === name);
    // A lease that is taken away leaves nothing behind: who goes on announcing himself joins again.
    if (now || !leases.some((lease) => lease.name === name)) {
      await membership.keep({ changes: changesAfter(changes, name, entry, now) });
      return;
    }
    const others = leases.filter((lease) => lease.name !== name);
    await membership.keep({ leases: others, changes: changesAfter(changes, name, undefined, undefined) });
  }

  /** Puts what was kept in force. */
  async #shaped(name: string, by: string): Promise<ServerView> {
    await this.#parts.membership.shape(by);
    return this.#view(name);
  }

  #server(name: string): PooledServer {
    const server = this.#parts.pool.get(name);
    if (server) return server;
    const names = this.#parts.pool.names.slice(0, 20).join(", ");
    const came = JSON.stringify(name.slice(0, 80));
    throw new BilanciaError("UNKNOWN_SERVER", `expected the name of a server, one of ${names}; came ${came}`);
  }

  /** A server that is to stay. */
  #member(name: string): PooledServer {
    const server = this.#server(name);
    if (server.retiring === undefined) return server;
    const why = server.backend.draining?.reason;
    throw new BilanciaError("SERVER_IN_USE", `expected a server that is to stay; came ${name}: ${why}`);
  }

  #view(name: string): ServerView {
    return this.#settledView(this.#parts.pool.views.of(this.#server(name)));
  }

  #settledView(view: PoolView): ServerView {
    const { name } = view.backend;
    const { unsettled, leases } = this.#parts;
    return { ...view, unsettledFiles: unsettled(name), leaseUntilMs: leases.untilMs(name) };
  }

  #tell(server: string, change: "added" | "weight" | "draining" | "enabled" | "removed", detail: string, by: string) {
    this.#parts.observer.note({ kind: "server-changed", server, change, detail, by });
  }
}

function memberOf({ backend: { name, address, weight, draining } }: PooledServer): Member {
  return { name, address, weight, drainingSinceMs: draining?.sinceMs };
}

function describe({ name, address }: ServerEntry): string {
  return `${name} at ${address}`;
}
