import { hostsOf } from "../domain/named-servers.js";
import type { Observer } from "../ports/observer.js";
import type { Resolver } from "../ports/resolver.js";
import type { Membership } from "./membership.js";

/** What a watch works with. */
export interface NameWatchParts {
  readonly resolver: Resolver;
  readonly membership: Membership;
  /** How often names are resolved again, in milliseconds. */
  readonly settings: { readonly intervalMs: number };
  readonly observer: Observer;
}

/** How long a resolver may take, in milliseconds. */
const timeoutMs = 5_000;

/**
 * Keeps the membership told which addresses the configured names resolve to. A name that cannot be resolved now, or to nothing, keeps the addresses that it
 * had: what is wrong with servers, their probes say, and a name service that is down must not empty the pool. Whoever makes it calls `start` and `stop`.
 */
export class NameWatch {
  readonly #parts: NameWatchParts;
  /** Why a name could not be resolved the last time. */
  readonly #problems = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(parts: NameWatchParts) {
    this.#parts = parts;
  }

  /** Resolves all names, and from then on again and again. Resolves once the pool has the servers that were found. */
  async start(): Promise<void> {
    await this.look();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Resolves all names now; the next time is counted from then. */
  async look(): Promise<void> {
    clearTimeout(this.#timer);
    const { membership, settings, observer } = this.#parts;
    try {
      const hosts = [...hostsOf(membership.facts.configured)];
      const found = await Promise.all(hosts.map(async (host) => [host, await this.#resolve(host)] as const));
      if (this.#stopped) return;
      await membership.useNames(new Map(found.flatMap(([host, addresses]) => (addresses ? [[host, addresses]] : []))));
    } catch (error) {
      observer.note({ kind: "fault", where: "resolving the names of servers", error });
    }
    if (this.#stopped) return;
    // Another call may have set one meanwhile.
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.look(), settings.intervalMs).unref();
  }

  /** The addresses of a name, in a certain order; `undefined` where they are not known. Tells when that begins and ends. */
  async #resolve(host: string): Promise<readonly string[] | undefined> {
    const { resolver, observer } = this.#parts;
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    });
    try {
      const addresses = [...new Set(await Promise.race([resolver.resolve(host), tooLate]))].sort();
      if (addresses.length === 0) throw new Error("it has no addresses");
      if (this.#problems.delete(host)) observer.note({ kind: "name-resolved", name: host, addresses });
      return addresses;
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      if (this.#problems.get(host) !== problem) observer.note({ kind: "name-unresolved", name: host, reason: problem });
      this.#problems.set(host, problem);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }
}
