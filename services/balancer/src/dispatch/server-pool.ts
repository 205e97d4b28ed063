import { AdaptiveLimit } from "../domain/adaptive-limit.js";
import {
  type InFlightLimits,
  inFlightCharge,
  isAvailable,
  isEjected,
  isFull,
  isOut,
  isReachable,
  leastBad,
  loadOf,
  type Spell,
  streamedFileBytes,
} from "../domain/backend.js";
import { type EjectionPolicy, mayEject } from "../domain/conduct.js";
import type { Member } from "../domain/membership.js";
import type { Clock } from "../ports/clock.js";
import type { Observer } from "../ports/observer.js";
import { PoolViews } from "./pool-views.js";
import { PooledServer, type PooledServerParts } from "./pooled-server.js";
import { type ChoiceSettings, ServerChoice } from "./server-choice.js";
import type { ProbeSettings } from "./server-probe.js";
import { plainText, type ServerSecurity } from "./server-security.js";
import { Timers } from "./timers.js";

/** How servers are chosen. */
export interface BalancingSettings extends ChoiceSettings {
  /** What happens to files while no server is available: they wait, or go to the server that is least bad. */
  readonly whenNoneAvailable: "hold" | "spill";
}

/** How much may be on its way to each server. */
export interface PoolLimits extends InFlightLimits {
  /** Whether the number of files is learned from each server's answers; `maxFiles` is the most then. */
  readonly adaptive: boolean;
}

/** What the pool is made of. */
export interface ServerPoolParts {
  readonly servers: readonly Member[];
  readonly limits: PoolLimits;
  readonly balancing: BalancingSettings;
  readonly probe: ProbeSettings;
  readonly ejection: EjectionPolicy;
  /** How its servers are connected to. Default: in plain text. */
  readonly security?: ServerSecurity;
  readonly clock: Clock;
  readonly observer: Observer;
}

const drainReason = "an operator drains it";
const nobody: ReadonlySet<string> = new Set();
/** How long a server that says `busy` without a time is left alone, in milliseconds. */
const busyPauseMs = 200;
/** How long a server is left alone for one `busy` at least, whatever it asks: it would be tried thousands of times a second. */
const minBusyPauseMs = 50;
/** How long a server is left alone for one `busy` at most. One that cannot take anything for longer has the overload bit to say so. */
const maxBusyPauseMs = 60_000;
/** Files up to this size, in bytes, take about equally long. */
const comparableBytes = 64 * 1024;

/**
 * The storage servers, and what is known of them. Whoever changes a fact about a server has it weighed anew at once (`#weigh`), so that
 * exactly those are in the choice that are available, and a pick asks nobody.
 */
export class ServerPool {
  readonly #servers = new Map<string, PooledServer>();
  readonly #serverParts: PooledServerParts;
  readonly #choice: ServerChoice;
  readonly #limits: PoolLimits;
  readonly #ejection: EjectionPolicy;
  readonly #clock: Clock;
  readonly #observer: Observer;
  readonly #balancing: BalancingSettings;
  readonly #timers = new Timers();
  /** How it looks from outside. */
  readonly views: PoolViews;
  /** How its servers are connected to. */
  readonly security: ServerSecurity;
  #onChange: () => void = () => {};
  #onReturn: (server: PooledServer) => void = () => {};

  constructor({ servers, limits, balancing, probe, ejection, security = plainText, clock, observer }: ServerPoolParts) {
    this.#limits = limits;
    this.#clock = clock;
    this.#balancing = balancing;
    this.#choice = new ServerChoice(balancing, this.#servers, this.#timers, clock);
    this.views = new PoolViews(this.#servers, this.#choice, limits, clock);
    this.#ejection = ejection;
    this.#observer = observer;
    const events = {
      fell: (server: PooledServer) => {
        const reason = server.conduct.fell(this.#clock.nowMs());
        if (reason !== undefined) this.#eject(server, reason);
      },
      changed: (server: PooledServer) => {
        this.#choice.meter(server);
        this.#changed(server);
      },
      returned: (server: PooledServer) => {
        this.#choice.ramp(server);
        this.#onReturn(server);
      },
      announced: (server: PooledServer) => this.#onReturn(server),
    };
    this.security = security;
    this.#serverParts = { security, probe, ejection, clock, observer, events };
    for (const member of servers) this.#put(member);
  }

  /** Begins to probe; resolves once each server has answered or not answered in time, so that the first files find all that are there. */
  async start(): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server.start()));
    this.#choice.start();
  }

  stop(): void {
    this.#choice.stop();
    this.#timers.stop();
    for (const server of this.#servers.values()) server.stop();
  }

  /** The settings have changed: who is in the choice, how it is made, and with which weights, follows. */
  settingsChanged(): void {
    this.#choice.settingsChanged();
    for (const server of this.#servers.values()) {
      this.#limitAnew(server);
      this.#weigh(server);
    }
    this.#onChange();
  }

  /** Takes a new server in, and asks it how it is; resolves once it has answered or not answered in time. */
  async add(member: Member): Promise<void> {
    await this.#put(member).start();
  }

  /** Takes a server out. What is on its way to it is lost, and goes elsewhere. */
  remove(server: PooledServer): void {
    const { name } = server.backend;
    this.#servers.delete(name);
    this.#choice.forget(name);
    server.stop();
    // Its claims are over.
    this.#onChange();
  }

  setWeight(server: PooledServer, weight: number): void {
    server.backend.weight = weight;
    this.#choice.reweigh(server);
  }

  /** Gives a server nothing new. */
  drain(server: PooledServer, sinceMs: number, reason = drainReason): void {
    server.backend.draining = { sinceMs, reason };
    this.#weigh(server);
  }

  /** Gives a server nothing new while its lease has expired, and something again when it has not. */
  lapse(server: PooledServer, lapsed: Spell | undefined): void {
    const { backend } = server;
    const returns = backend.lapsed !== undefined && lapsed === undefined;
    backend.lapsed = lapsed;
    if (returns) this.#choice.ramp(server);
    this.#changed(server);
  }

  /** Ends a drain. */
  enable(server: PooledServer): void {
    server.backend.draining = undefined;
    this.#choice.ramp(server);
    this.#changed(server);
  }

  /** Sets what to call when a server may have become available, or has gone. */
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

  /** All of them, in the order in which they joined. */
  all(): PooledServer[] {
    return [...this.#servers.values()];
  }

  get names(): string[] {
    return [...this.#servers.keys()];
  }

  /** Whether any server may be given a file now. */
  get anyAvailable(): boolean {
    return !this.#choice.isEmpty || this.#leastBad(nobody) !== undefined;
  }

  /** Whether a server may be given a file now. */
  isAvailable({ backend }: PooledServer): boolean {
    return this.#choice.has(backend.name);
  }

  /**
   * The next server by the policy among those that are available and not to be avoided.
   *
   * @param sizeBytes size of the file, where it is known
   */
  pick(avoid: ReadonlySet<string>, sizeBytes: number | undefined): PooledServer | undefined {
    const picked = this.#choice.pick(avoid, sizeBytes ?? streamedFileBytes);
    return picked === undefined ? this.#leastBad(avoid) : this.#servers.get(picked);
  }

  /**
   * A server has stored a file.
   *
   * @param expectedBytes its size, where that was known when the server was picked
   * @param tookMs from when it had been sent until it was answered; `undefined` where that is not known
   */
  stored(server: PooledServer, expectedBytes: number | undefined, sizeBytes: number, tookMs?: number): void {
    server.storedFiles += 1;
    server.storedBytes += sizeBytes;
    server.meter.stored(loadOf({ inFlightFiles: 1, inFlightBytes: inFlightCharge(expectedBytes) }));
    const nowMs = this.#clock.nowMs();
    server.conduct.succeeded(nowMs);
    const { limit, inFlightFiles } = server.backend;
    // How long a larger file takes says more about the file than about the server.
    limit?.answered(sizeBytes <= comparableBytes ? tookMs : undefined, inFlightFiles, nowMs);
    this.#choice.correct(server.backend.name, expectedBytes ?? streamedFileBytes, sizeBytes);
  }

  /** An attempt on a server was refused or lost, and not for the file's own fault. */
  failed(server: PooledServer): void {
    // What was on its way to a server that has gone says nothing that its health does not say.
    if (!isReachable(server.backend)) return;
    server.backend.limit?.failed();
    const reason = server.conduct.failed(this.#clock.nowMs());
    if (reason !== undefined) this.#eject(server, reason);
  }

  /** A certain server, if it can be talked to, is not full, and did not ask to be left alone; for files that it may hold already. */
  pickSame(name: string): PooledServer | undefined {
    const server = this.#servers.get(name);
    if (!server || server.leaving || !isReachable(server.backend) || isFull(server.backend, this.#limits))
      return undefined;
    return this.#clock.nowMs() < server.backend.busyUntilMs ? undefined : server;
  }

  /** Counts a file as on its way; returns what takes it off again. */
  occupy(server: PooledServer, sizeBytes: number | undefined): () => void {
    const charge = inFlightCharge(sizeBytes);
    const { backend } = server;
    backend.inFlightFiles += 1;
    backend.inFlightBytes += charge;
    this.#choice.meter(server);
    this.#weigh(server);
    return () => {
      backend.inFlightFiles -= 1;
      backend.inFlightBytes -= charge;
      this.#choice.meter(server);
      this.#changed(server);
    };
  }

  /** Leaves a server alone that said `busy`. */
  pause(server: PooledServer, retryAfterMs: number | undefined): void {
    const { backend } = server;
    const askedMs = retryAfterMs === undefined || Number.isNaN(retryAfterMs) ? busyPauseMs : retryAfterMs;
    const pauseMs = Math.max(minBusyPauseMs, Math.min(askedMs, maxBusyPauseMs));
    const untilMs = this.#clock.nowMs() + pauseMs;
    backend.busyUntilMs = untilMs;
    backend.limit?.failed();
    this.#weigh(server);
    this.#timers.later(pauseMs, () => {
      // Not left to the clock, which may have been set back.
      if (backend.busyUntilMs === untilMs) backend.busyUntilMs = 0;
      this.#changed(server);
    });
  }

  #put(member: Member): PooledServer {
    const server = new PooledServer(member, this.#serverParts);
    const { backend } = server;
    if (member.drainingSinceMs !== undefined)
      backend.draining = { sinceMs: member.drainingSinceMs, reason: drainReason };
    this.#limitAnew(server);
    this.#servers.set(member.name, server);
    this.#choice.place(server);
    return server;
  }

  /** What was learned within other bounds says nothing any more. */
  #limitAnew({ backend }: PooledServer): void {
    const { adaptive, maxFiles } = this.#limits;
    if (!adaptive) backend.limit = undefined;
    else if (backend.limit?.max !== maxFiles) backend.limit = new AdaptiveLimit(maxFiles);
  }

  /** Leaves a server alone for a while, unless too many are out already. */
  #eject(server: PooledServer, reason: string): void {
    if (this.#servers.get(server.backend.name) !== server) return;
    const nowMs = this.#clock.nowMs();
    const others = [...this.#servers.values()].filter((other) => other !== server);
    const outCount = others.filter(({ backend }) => isOut(backend, nowMs)).length;
    if (isEjected(server.backend, nowMs) || !mayEject(outCount, this.#servers.size, this.#ejection)) return;
    const ejection = server.conduct.eject(nowMs, reason);
    server.backend.ejection = ejection;
    this.#observer.note({
      kind: "server-ejected",
      server: server.backend.name,
      forMs: ejection.untilMs - nowMs,
      reason,
    });
    this.#weigh(server);
    this.#timers.later(ejection.untilMs - nowMs, () => {
      if (server.backend.ejection === ejection) server.backend.ejection = undefined;
      this.#choice.ramp(server);
      this.#changed(server);
    });
  }

  /** Where a file can go although no server is available, if that is wanted. */
  #leastBad(avoid: ReadonlySet<string>): PooledServer | undefined {
    if (this.#balancing.whenNoneAvailable === "hold") return undefined;
    const candidates = [...this.#servers.values()].filter(({ backend }) => !avoid.has(backend.name));
    return leastBad(candidates, this.#limits, this.#clock.nowMs());
  }

  #changed(server: PooledServer): void {
    this.#weigh(server);
    this.#onChange();
  }

  /** Puts a server into the choice, or takes it out, as the facts are now. */
  #weigh(server: PooledServer): void {
    const { name } = server.backend;
    // What happens to one that was removed is of no interest; another one may have its name by now.
    if (this.#servers.get(name) !== server) return;
    const available = isAvailable(server.backend, this.#limits, this.#clock.nowMs());
    if (available === this.#choice.has(name)) return;
    if (available) this.#choice.putIn(server);
    else this.#choice.takeOut(name);
  }
}
