import { loadOf } from "../domain/backend.js";
import { learnedFactors } from "../domain/learned-weight.js";
import { newPolicy } from "../domain/new-policy.js";
import type { Policy, PolicyName, Standings } from "../domain/policy.js";
import { isRamping, rampedWeight } from "../domain/slow-start.js";
import type { Clock } from "../ports/clock.js";
import type { PooledServer } from "./pooled-server.js";
import type { Timers } from "./timers.js";

/** How servers that are available are chosen among. */
export interface ChoiceSettings {
  readonly policy: PolicyName;
  /** How long the weight of a server that joins or returns grows, in milliseconds; 0 for not at all. */
  readonly slowStartMs: number;
  /** Whether weights are as they are configured, or learned from them on (`learned-weight.ts`). */
  readonly weights: "configured" | "auto";
}

/** How often a weight that grows is offered anew, in milliseconds. */
const rampStepMs = 50;
/** How often weights are learned, in milliseconds. */
const learnEveryMs = 1_000;

/**
 * The servers that are in the choice, each with its weight as it counts now: as configured, as learned, and as far as it has grown since the
 * server came back. Who is in it is for the pool to say; which one is next is the policy's.
 */
export class ServerChoice {
  readonly #settings: ChoiceSettings;
  readonly #clock: Clock;
  readonly #timers: Timers;
  #policyName: PolicyName;
  #policy: Policy;
  /** All servers of the pool. */
  readonly #servers: ReadonlyMap<string, PooledServer>;
  /** Those in the choice. */
  readonly #offered = new Set<string>();
  /** By how much weights are multiplied, as was learned. */
  #factors: ReadonlyMap<string, number> = new Map();
  #learning: NodeJS.Timeout | undefined;
  #started = false;

  constructor(settings: ChoiceSettings, servers: ReadonlyMap<string, PooledServer>, timers: Timers, clock: Clock) {
    this.#settings = settings;
    this.#servers = servers;
    this.#timers = timers;
    this.#clock = clock;
    this.#policyName = settings.policy;
    this.#policy = this.#createPolicy(settings.policy);
  }

  /** From now on weights are learned, where that is wanted, and those of servers that return grow. */
  start(): void {
    this.#started = true;
    this.#learnOrNot();
  }

  /** Goes over to another policy, or to other weights, where the settings say so now. Who is in the choice stays in it. */
  settingsChanged(): void {
    if (this.#settings.policy !== this.#policyName) {
      this.#policyName = this.#settings.policy;
      this.#policy = this.#createPolicy(this.#policyName);
      for (const server of this.#servers.values()) this.place(server);
    }
    this.#learnOrNot();
    for (const server of this.#servers.values()) this.reweigh(server);
  }

  stop(): void {
    clearInterval(this.#learning);
  }

  get isEmpty(): boolean {
    return this.#offered.size === 0;
  }

  has(name: string): boolean {
    return this.#offered.has(name);
  }

  /** Gives a new server its place, so that equals are picked in the order of the configuration, and not in that of their first answers. */
  place({ backend: { name, weight } }: PooledServer): void {
    this.#policy.offer(name, weight);
    this.#policy.withdraw(name);
  }

  /** Takes a server in, which is not in it. */
  putIn(server: PooledServer): void {
    this.#offered.add(server.backend.name);
    this.#offer(server);
  }

  /** Takes a server out, for as long as it is not put in again. */
  takeOut(name: string): void {
    this.#offered.delete(name);
    this.#policy.withdraw(name);
  }

  /** Takes a server out for good. */
  forget(name: string): void {
    this.#offered.delete(name);
    this.#policy.forget(name);
  }

  /** A server's weight has changed. */
  reweigh(server: PooledServer): void {
    if (this.#offered.has(server.backend.name)) this.#offer(server);
  }

  /** The next server by the policy, but for those to be avoided. */
  pick(avoid: ReadonlySet<string>, sizeBytes: number): string | undefined {
    const avoided = avoid.size === 0 ? [] : [...avoid].filter((name) => this.#offered.has(name));
    for (const name of avoided) this.#policy.withdraw(name);
    const picked = this.#policy.pick(sizeBytes);
    for (const name of avoided) {
      const server = this.#servers.get(name);
      if (server) this.#offer(server);
    }
    return picked;
  }

  get policyName(): PolicyName {
    return this.#policyName;
  }

  /** See `Policy.standings`. */
  standings(): Standings {
    return this.#policy.standings();
  }

  /** See `Policy.compared`. */
  get compared(): readonly string[] | undefined {
    return this.#policy.compared;
  }

  /** See `Policy.correct`. */
  correct(name: string, assumedBytes: number, actualBytes: number): void {
    this.#policy.correct(name, assumedBytes, actualBytes);
  }

  /** What is on its way to a server, or its overload bit, has changed. */
  meter({ meter, backend }: PooledServer): void {
    if (this.#settings.weights === "auto")
      meter.changed(this.#clock.nowMs(), loadOf(backend), backend.overload !== undefined);
  }

  /** Lets a server's weight grow from now on. Those that are there when the balancer starts begin with the whole. */
  ramp(server: PooledServer): void {
    if (!this.#started) return;
    const { backend } = server;
    const sinceMs = this.#clock.nowMs();
    backend.backSinceMs = sinceMs;
    const step = () => {
      if (backend.backSinceMs !== sinceMs) return;
      if (this.#servers.get(backend.name) === server) this.reweigh(server);
      if (isRamping(sinceMs, this.#clock.nowMs(), this.#settings.slowStartMs)) this.#timers.later(rampStepMs, step);
    };
    step();
  }

  /** The weight as it counts now. */
  weightInHundredths({ backend: { name, weight, backSinceMs } }: PooledServer, nowMs = this.#clock.nowMs()): number {
    const learned = weight * (this.#factors.get(name) ?? 1);
    return rampedWeight(learned, backSinceMs, nowMs, this.#settings.slowStartMs);
  }

  #offer(server: PooledServer): void {
    this.#policy.offer(server.backend.name, this.weightInHundredths(server));
  }

  #learnOrNot(): void {
    const wanted = this.#started && this.#settings.weights === "auto";
    if (wanted === (this.#learning !== undefined)) return;
    clearInterval(this.#learning);
    this.#learning = undefined;
    this.#factors = new Map();
    if (!wanted) return;
    // What was not told while nobody wanted to know is not to be taken for idleness.
    for (const server of this.#servers.values()) {
      this.meter(server);
      server.meter.take(this.#clock.nowMs());
    }
    this.#learning = setInterval(() => this.#learn(), learnEveryMs);
  }

  #learn(): void {
    const nowMs = this.#clock.nowMs();
    const seen = new Map([...this.#servers].map(([name, { meter }]) => [name, meter.take(nowMs)]));
    this.#factors = learnedFactors(this.#factors, seen);
    for (const server of this.#servers.values()) this.reweigh(server);
  }

  #createPolicy(name: PolicyName): Policy {
    const load = (server: string) => {
      const backend = this.#servers.get(server)?.backend;
      return backend ? loadOf(backend) : 0;
    };
    return newPolicy(name, load, () => this.#clock.random());
  }
}
