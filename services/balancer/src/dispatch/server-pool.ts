import { type InFlightLimits, inFlightCharge, isAvailable, isFull, isReachable } from "../domain/backend.js";
import type { Policy } from "../domain/policy.js";
import { SmoothWeightedRoundRobin } from "../domain/smooth-wrr.js";
import type { Clock, Observer, ServerDirectory, ServerView } from "../ports.js";
import { PooledServer, type ServerConfig } from "./pooled-server.js";
import type { ProbeTiming } from "./server-probe.js";

/** What the pool is made of. */
export interface ServerPoolParts {
  readonly servers: readonly ServerConfig[];
  readonly limits: InFlightLimits;
  readonly probe: ProbeTiming;
  readonly clock: Clock;
  readonly observer: Observer;
}

/** How long a server that says `busy` without a time is left alone, in milliseconds. */
const busyPauseMs = 200;

/**
 * The storage servers, and the choice among them. Whoever changes a fact about a server has it weighed anew at once (`#weigh`), so that
 * the policy always has exactly those in the choice that are available, and a pick asks nobody.
 */
export class ServerPool implements ServerDirectory {
  readonly #servers: ReadonlyMap<string, PooledServer>;
  readonly #policy: Policy = new SmoothWeightedRoundRobin();
  /** Those in the choice. */
  readonly #offered = new Set<string>();
  readonly #limits: InFlightLimits;
  readonly #clock: Clock;
  readonly #timers = new Set<NodeJS.Timeout>();
  #onChange: () => void = () => {};
  #onReturn: (server: PooledServer) => void = () => {};

  constructor({ servers, limits, probe, clock, observer }: ServerPoolParts) {
    this.#limits = limits;
    this.#clock = clock;
    const events = {
      changed: (server: PooledServer) => this.#changed(server),
      returned: (server: PooledServer) => this.#onReturn(server),
    };
    this.#servers = new Map(
      servers.map((config) => [config.name, new PooledServer(config, probe, clock, observer, events)]),
    );
  }

  /** Begins to probe; resolves once each server has answered or not answered in time, so that the first files find all that are there. */
  async start(): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server.start()));
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const server of this.#servers.values()) server.stop();
  }

  /** Sets what to call when a server may have become available. */
  onChange(callback: () => void): void {
    this.#onChange = callback;
  }

  /** Sets what to call when a server can be talked to again. */
  onReturn(callback: (server: PooledServer) => void): void {
    this.#onReturn = callback;
  }

  get(name: string): PooledServer | undefined {
    return this.#servers.get(name);
  }

  get names(): string[] {
    return [...this.#servers.keys()];
  }

  /** Whether any server may be given a file now. */
  get anyAvailable(): boolean {
    return this.#offered.size > 0;
  }

  /** Whether a server may be given a file now. */
  isAvailable({ backend }: PooledServer): boolean {
    return this.#offered.has(backend.name);
  }

  /** The next server by the policy among those that are available and not to be avoided. */
  pick(avoid: ReadonlySet<string>): PooledServer | undefined {
    const avoided = avoid.size === 0 ? [] : [...avoid].filter((name) => this.#offered.has(name));
    for (const name of avoided) this.#policy.withdraw(name);
    const picked = this.#policy.pick(0);
    for (const name of avoided) this.#policy.offer(name, this.#servers.get(name)?.backend.weight ?? 1);
    return picked === undefined ? undefined : this.#servers.get(picked);
  }

  /** A certain server, if it can be talked to and is not full; for files that it may hold already. */
  pickSame(name: string): PooledServer | undefined {
    const server = this.#servers.get(name);
    return server && isReachable(server.backend) && !isFull(server.backend, this.#limits) ? server : undefined;
  }

  /** Counts a file as on its way; returns what takes it off again. */
  occupy(server: PooledServer, sizeBytes: number | undefined): () => void {
    const charge = inFlightCharge(sizeBytes);
    const { backend } = server;
    backend.inFlightFiles += 1;
    backend.inFlightBytes += charge;
    this.#weigh(server);
    return () => {
      backend.inFlightFiles -= 1;
      backend.inFlightBytes -= charge;
      this.#changed(server);
    };
  }

  /** Leaves a server alone that said `busy`. */
  pause(server: PooledServer, retryAfterMs: number | undefined): void {
    const pauseMs = retryAfterMs ?? busyPauseMs;
    server.backend.busyUntilMs = this.#clock.nowMs() + pauseMs;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#changed(server);
    }, pauseMs + 1);
    this.#timers.add(timer);
    this.#weigh(server);
  }

  servers(): ServerView[] {
    const nowMs = this.#clock.nowMs();
    return [...this.#servers.values()].map((server) => ({
      backend: server.backend,
      available: isAvailable(server.backend, this.#limits, nowMs),
      full: isFull(server.backend, this.#limits),
      load: server.load,
      storedFiles: server.storedFiles,
      storedBytes: server.storedBytes,
      failedAttempts: server.failedAttempts,
    }));
  }

  #changed(server: PooledServer): void {
    this.#weigh(server);
    this.#onChange();
  }

  /** Puts a server into the choice, or takes it out, as the facts are now. */
  #weigh({ backend }: PooledServer): void {
    const { name } = backend;
    const available = isAvailable(backend, this.#limits, this.#clock.nowMs());
    if (available === this.#offered.has(name)) return;
    if (available) {
      this.#offered.add(name);
      this.#policy.offer(name, backend.weight);
    } else {
      this.#offered.delete(name);
      this.#policy.withdraw(name);
    }
  }
}
