import { connectionWords } from "@bilancia/proto/connection-words";
import type { LoadResponse } from "@bilancia/proto/gen/storage";
import { StorageClient } from "@bilancia/proto/services";
import { callUnary } from "@bilancia/proto/unary";
import { type ServiceError, status } from "@grpc/grpc-js";
import { BilanciaError } from "../domain/errors.js";
import { decideLease, type Holder } from "../domain/lease.js";
import type { ServerEntry } from "../domain/server-entry.js";
import type { Clock } from "../ports/clock.js";
import type { Observer } from "../ports/observer.js";
import { checkEntry } from "./entry-check.js";
import type { Membership } from "./membership.js";
import type { ServerPool } from "./server-pool.js";

/** Whether servers may join by themselves, and for how long. */
export interface RegistrationSettings {
  readonly unknownServers: "refuse" | "accept";
  readonly leaseMs: number;
  readonly forgetMs: number;
}

/** What the leases work with. */
export interface LeasesParts {
  readonly settings: RegistrationSettings;
  readonly pool: ServerPool;
  readonly membership: Membership;
  /** How many files a server may hold of which it is not known whether it does. */
  readonly unsettled: (name: string) => number;
  readonly clock: Clock;
  readonly observer: Observer;
}

/** Times are of the monotonic clock: to set the clock lets no lease expire. */
interface Term {
  readonly untilMs: number;
  /** Which process has announced itself; `undefined` when that was before the balancer's last start. */
  readonly instanceId: string | undefined;
}

/** How often it is looked whose time is over, in milliseconds. */
const lookMs = 100;
/** How soon it is tried again to forget a server that the disk did not let go, in milliseconds. */
const forgetAgainMs = 1_000;
/** How long a server that wants to join may take to answer, in milliseconds. */
const answerMs = 2_000;

/**
 * The servers that have joined by themselves, each for as long as it renews its lease. Which they are is one of the facts of the membership, and so survives
 * restarts, after which each lease begins anew; until when they hold is known here. A server whose lease has expired gets nothing new; what it may
 * have is found out as with any other.
 */
export class Leases {
  readonly #parts: LeasesParts;
  readonly #terms = new Map<string, Term>();
  /** The servers that are being forgotten, or could not be just now. */
  readonly #forgetting = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: LeasesParts) {
    this.#parts = parts;
  }

  /** Begins the leases of servers that were there when the balancer last ended. */
  start(): void {
    const untilMs = performance.now() + this.#parts.settings.leaseMs;
    for (const { name } of this.#parts.membership.facts.leases)
      this.#terms.set(name, { untilMs, instanceId: undefined });
    this.#timer = setInterval(() => this.#look(), lookMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Whether servers that are not configured may join. */
  get areGranted(): boolean {
    return this.#parts.settings.unknownServers === "accept";
  }

  /** How long a lease holds when it is renewed now; `undefined` for a server that has none. */
  durationMs(name: string): number | undefined {
    return this.#entry(name) && this.#parts.settings.leaseMs;
  }

  /** Until when a server's lease holds, or held, Unix time; `undefined` for one that has none. */
  untilMs(name: string): number | undefined {
    const term = this.#entry(name) && this.#terms.get(name);
    return term && Math.round(this.#parts.clock.nowMs() + term.untilMs - performance.now());
  }

  /**
   * Lets a server join, or join again, whose name is not configured. It has been seen to answer at its address then.
   *
   * @throws BilanciaError `INVALID_HEADER`, `SERVER_EXISTS`, `SERVER_UNREACHABLE`, `SERVER_MISMATCH`
   */
  async join(entry: ServerEntry, instanceId: string, by: string): Promise<void> {
    const { membership } = this.#parts;
    checkEntry(entry);
    this.#decide(entry);
    await this.#verify(entry, instanceId);
    await membership.inTurn(async () => {
      // Much may have happened while the server was asked.
      const replaced = this.#decide(entry);
      const { leases } = membership.facts;
      const before = leases.find(({ name }) => name === entry.name);
      if (!before || before.address !== entry.address || before.weight !== entry.weight || replaced.length > 0) {
        const others = leases.filter(({ name }) => name !== entry.name && !replaced.includes(name));
        await membership.useLeases([...others, entry], itself(entry.name, by));
      }
      this.#renew(entry.name, instanceId, by);
    });
  }

  /**
   * Renews a lease.
   *
   * @throws BilanciaError `UNKNOWN_SERVER` when there is none, or it is not known who has it; `SERVER_MISMATCH` when another process has it
   */
  renew(name: string, instanceId: string, by: string): void {
    const term = this.#terms.get(name);
    const came = JSON.stringify(name.slice(0, 80));
    if (!this.#entry(name) || term?.instanceId === undefined || !this.areGranted) {
      throw new BilanciaError(
        "UNKNOWN_SERVER",
        `expected a server with a lease, which announces itself first; came ${came}`,
      );
    }
    if (term.instanceId !== instanceId) {
      const message = `expected the process that has announced itself as ${name}, instance ${JSON.stringify(term.instanceId)}`;
      throw new BilanciaError(
        "SERVER_MISMATCH",
        `${message}; came instance ${JSON.stringify(instanceId.slice(0, 80))}`,
      );
    }
    this.#renew(name, instanceId, by);
  }

  #renew(name: string, instanceId: string, by: string): void {
    const { pool, settings } = this.#parts;
    this.#terms.set(name, { untilMs: performance.now() + settings.leaseMs, instanceId });
    const server = pool.get(name);
    // One that leaves is another one, at the address before.
    if (!server?.backend.lapsed || server.retiring !== undefined) return;
    pool.lapse(server, undefined);
    this.#tell(name, "lease-renewed", "it gets files again", itself(name, by));
  }

  /** Whose place the server takes. @throws BilanciaError `SERVER_EXISTS` */
  #decide(entry: ServerEntry): readonly string[] {
    const holders = this.#parts.pool.all().flatMap((server): Holder[] => {
      const { name, address, weight } = server.backend;
      // One that is leaving is the very server that wants to stay, or holds nobody up.
      return server.retiring !== undefined ? [] : [{ name, address, weight, leasedForMs: this.#leasedForMs(name) }];
    });
    const verdict = decideLease(entry, holders);
    if (verdict.kind === "granted") return verdict.replaced;
    const { field, by } = verdict;
    const lease = by.leasedForMs === undefined ? "" : `, whose lease holds for another ${Math.ceil(by.leasedForMs)} ms`;
    const expected = field === "name" ? "a name" : "an address";
    const message = `expected ${expected} that no server has; came ${entry[field]}, which is ${by.name} at ${by.address}${lease}`;
    throw new BilanciaError("SERVER_EXISTS", message);
  }

  #leasedForMs(name: string): number | undefined {
    if (!this.#entry(name)) return undefined;
    return Math.max(0, (this.#terms.get(name)?.untilMs ?? 0) - performance.now());
  }

  #entry(name: string): ServerEntry | undefined {
    return this.#parts.membership.facts.leases.find((entry) => entry.name === name);
  }

  /** Asks who answers at the server's address. */
  async #verify({ name, address }: ServerEntry, instanceId: string): Promise<void> {
    const { credentials, options } = this.#parts.pool.security;
    const client = new StorageClient(address, credentials, { ...options, "grpc.use_local_subchannel_pool": 1 });
    let load: LoadResponse;
    try {
      load = await callUnary<object, LoadResponse>(client.load.bind(client), {}, answerMs);
    } catch (error) {
      const { code, details } = error as ServiceError;
      const message = `expected ${name} to answer at ${address}; came ${status[code] ?? "nothing"}: ${connectionWords(details)}`;
      throw new BilanciaError("SERVER_UNREACHABLE", message, { cause: error });
    } finally {
      client.close();
    }
    if (instanceId === "" || load.instanceId === "" || load.instanceId === instanceId) return;
    const message = `expected ${name} to answer at ${address} as instance ${JSON.stringify(instanceId)}; came instance ${JSON.stringify(load.instanceId.slice(0, 80))}`;
    throw new BilanciaError("SERVER_MISMATCH", message);
  }

  #look(): void {
    const { pool, settings, unsettled, clock } = this.#parts;
    const nowMs = performance.now();
    for (const [name, { untilMs }] of this.#terms) {
      if (nowMs < untilMs) continue;
      const server = pool.get(name);
      if (!this.#entry(name) || !server) {
        this.#terms.delete(name);
        continue;
      }
      if (!server.backend.lapsed) {
        const reason = `it has not renewed its lease of ${settings.leaseMs} ms`;
        pool.lapse(server, { sinceMs: clock.nowMs(), reason });
        this.#tell(name, "lease-expired", reason, "its lease");
      }
      if (nowMs >= untilMs + settings.forgetMs && unsettled(name) === 0) this.#forget(name, untilMs);
    }
  }

  /** Forgets a server, unless it renews its lease meanwhile. */
  #forget(name: string, untilMs: number): void {
    const { membership, observer } = this.#parts;
    if (this.#forgetting.has(name)) return;
    this.#forgetting.add(name);
    const isOver = () => this.#terms.get(name)?.untilMs === untilMs;
    membership
      .inTurn(async () => {
        if (!isOver()) return;
        const others = membership.facts.leases.filter((entry) => entry.name !== name);
        await membership.useLeases(others, "its lease");
        if (isOver()) this.#terms.delete(name);
      })
      .then(
        () => this.#forgetting.delete(name),
        (error: unknown) => {
          observer.note({ kind: "fault", where: `forgetting ${name}`, error });
          setTimeout(() => this.#forgetting.delete(name), forgetAgainMs).unref();
        },
      );
  }

  #tell(server: string, change: "lease-expired" | "lease-renewed", detail: string, by: string): void {
    this.#parts.observer.note({ kind: "server-changed", server, change, detail, by });
  }
}

/** Who wanted a change that no operator wanted, for log and audit. */
function itself(name: string, peer: string): string {
  return `${name} itself, ${peer}`;
}
