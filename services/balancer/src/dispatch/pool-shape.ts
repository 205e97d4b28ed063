import { isReachable } from "../domain/backend.js";
import type { Member } from "../domain/membership.js";
import type { Clock } from "../ports/clock.js";
import type { PooledServer } from "./pooled-server.js";
import type { ServerPool } from "./server-pool.js";

/** What has become of one server. `detail` is for people. */
export interface PoolDifference {
  readonly server: string;
  readonly change: "added" | "weight" | "draining" | "enabled" | "leaving" | "left";
  readonly detail: string;
}

/** What a shape works with. */
export interface PoolShapeParts {
  readonly pool: ServerPool;
  /** How many files a server may hold of which it is not known whether it does. */
  readonly unsettled: (name: string) => number;
  readonly clock: Clock;
  /** Called when a server that was to leave has left. */
  readonly onLeft: (difference: PoolDifference, by: string) => void;
}

/** How often it is looked whether a server that is to leave can go, in milliseconds. */
const lookMs = 50;

/**
 * Gives the pool the members that it is to have. Who is no member any more gets nothing new, goes on with what is on its way to it, and leaves when
 * that has ended; while it can be talked to, not before it is known which files it has. A member at another address takes the place of the one
 * before when that has left.
 */
export class PoolShape {
  readonly #parts: PoolShapeParts;
  #members: ReadonlyMap<string, Member> = new Map();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: PoolShapeParts) {
    this.#parts = parts;
  }

  /**
   * Puts members in force, at once but for what must wait; resolves, with what is different, once new ones have been asked how they are.
   *
   * @param by who wants it, for whoever tells that a server has left
   */
  async apply(members: readonly Member[], by: string): Promise<PoolDifference[]> {
    const { pool } = this.#parts;
    this.#members = new Map(members.map((member) => [member.name, member]));
    const differences = pool.all().flatMap((server) => {
      const member = this.#members.get(server.backend.name);
      return member?.address === server.backend.address ? this.#adjust(server, member) : this.#retire(server, by);
    });
    const added = members.filter(({ name }) => !pool.get(name));
    await Promise.all(added.map((member) => pool.add(member)));
    return [...differences, ...added.map(differenceOfNew)];
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #adjust(server: PooledServer, { name, weight, drainingSinceMs }: Member): PoolDifference[] {
    const { pool } = this.#parts;
    const { backend } = server;
    const differences: PoolDifference[] = [];
    const wasRetiring = server.retiring !== undefined;
    server.retiring = undefined;
    if (weight !== backend.weight) {
      differences.push({ server: name, change: "weight", detail: `${weight}, before ${backend.weight}` });
      pool.setWeight(server, weight);
    }
    if (drainingSinceMs === undefined && backend.draining) {
      differences.push({ server: name, change: "enabled", detail: "it gets files again" });
      pool.enable(server);
    }
    if (drainingSinceMs !== undefined && (wasRetiring || !backend.draining)) {
      differences.push({ server: name, change: "draining", detail: "it gets nothing new" });
      pool.drain(server, drainingSinceMs);
    }
    return differences;
  }

  #retire(server: PooledServer, by: string): PoolDifference[] {
    if (server.retiring !== undefined) return [];
    server.retiring = by;
    const { name, inFlightFiles } = server.backend;
    const moved = this.#members.get(name);
    const why = moved ? `it is to be at ${moved.address} now` : "it is not to be in the pool any more";
    this.#parts.pool.drain(server, this.#parts.clock.nowMs(), `${why}, and leaves when nothing is on its way to it`);
    this.#lookLater();
    return [{ server: name, change: "leaving", detail: `${why}; ${inFlightFiles} files on their way` }];
  }

  #lookLater(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), lookMs);
  }

  /** Lets those go that can, and their successors come. */
  #look(): void {
    const { pool, unsettled, onLeft } = this.#parts;
    const retiring = pool.all().filter(({ retiring }) => retiring !== undefined);
    for (const server of retiring) {
      const { backend, retiring: by = "" } = server;
      const { name, inFlightFiles } = backend;
      if (inFlightFiles > 0) continue;
      const open = unsettled(name);
      if (open > 0 && isReachable(backend)) continue;
      pool.remove(server);
      const detail = open > 0 ? `${open} files of which it is not known whether it has them` : "empty";
      onLeft({ server: name, change: "left", detail }, by);
      const successor = this.#members.get(name);
      if (!successor) continue;
      // A probe tells what is wrong with it.
      void pool.add(successor);
      onLeft(differenceOfNew(successor), by);
    }
    if (pool.all().some(({ retiring }) => retiring !== undefined)) this.#lookLater();
  }
}

function differenceOfNew({ name, address, weight }: Member): PoolDifference {
  return { server: name, change: "added", detail: `${address}, weight ${weight}` };
}
