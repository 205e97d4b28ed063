import { setTimeout as delay } from "node:timers/promises";
import { type LoadResponse, OverloadCause } from "@bilancia/proto/gen/storage";
import { type Backend, isReachable, newBackend } from "../domain/backend.js";
import { type HealthSign, nextHealth } from "../domain/health.js";
import type { Clock, Observer } from "../ports.js";
import { type ProbeTiming, ServerProbe } from "./server-probe.js";
import { StorageLink } from "./storage-link.js";

/** For how long a server that says that it has started is looked for, and how often, in milliseconds. */
const announcedMs = 2_000;
const announcedPauseMs = 100;

/** A storage server as the configuration names it. */
export interface ServerConfig {
  readonly name: string;
  /** `host:port` */
  readonly address: string;
  /** 1-256 */
  readonly weight: number;
}

/** What a server in the pool tells the pool. */
export interface PooledServerEvents {
  /** It may be available now, or no longer. */
  changed(server: PooledServer): void;
  /** It can be talked to again. */
  returned(server: PooledServer): void;
}

/** One storage server: what is believed of it, the link to it, and the probe that asks. Feeds facts into `backend`, decides nothing. */
export class PooledServer {
  readonly backend: Backend;
  readonly link: StorageLink;
  load: LoadResponse | undefined;
  storedFiles = 0;
  storedBytes = 0;
  failedAttempts = 0;
  readonly #probe: ServerProbe;
  readonly #clock: Clock;
  readonly #observer: Observer;
  readonly #events: PooledServerEvents;

  constructor(config: ServerConfig, timing: ProbeTiming, clock: Clock, observer: Observer, events: PooledServerEvents) {
    this.#clock = clock;
    this.#observer = observer;
    this.#events = events;
    this.backend = newBackend(config, clock.nowMs());
    this.link = new StorageLink(config.address, {
      overloaded: (bit) => this.#overloaded(bit, []),
      broken: (message, unreachable) => {
        if (unreachable) this.#sign({ kind: "failing", reason: `connection lost: ${message}` });
        this.#probe.now();
      },
    });
    this.#probe = new ServerProbe(this.link, timing, ({ sign, load }) => {
      if (load) {
        this.load = load;
        this.#overloaded(load.overloaded, load.causes.map(causeName));
      }
      this.#sign(sign);
    });
  }

  /** Begins to probe; resolves after the first result. */
  start(): Promise<void> {
    return this.#probe.start();
  }

  /** Looks at once: the server says that it has started. Tries again for a moment, because a connection that has failed is not opened anew at once. */
  async announced(): Promise<void> {
    const untilMs = performance.now() + announcedMs;
    for (;;) {
      await this.#probe.fresh();
      if (isReachable(this.backend) || performance.now() >= untilMs) break;
      await delay(announcedPauseMs);
    }
    // Also where nobody had noticed that it was away.
    if (isReachable(this.backend)) this.#events.returned(this);
  }

  stop(): void {
    this.#probe.stop();
    this.link.close();
  }

  #sign(sign: HealthSign): void {
    const before = this.backend.health;
    const after = nextHealth(before, sign, this.#clock.nowMs());
    if (after === before) return;
    this.backend.health = after;
    if (after.kind === before.kind) return;
    const { name: server } = this.backend;
    this.#observer.note({ kind: "server-health", server, from: before.kind, to: after.kind, reason: after.reason });
    // Answers will not come over a connection that hangs; the files are better tried elsewhere.
    if (after.kind === "unhealthy") this.link.reset();
    else this.#events.returned(this);
    this.#events.changed(this);
  }

  #overloaded(overloaded: boolean, causes: readonly string[]): void {
    if (overloaded === this.backend.overloaded) return;
    this.backend.overloaded = overloaded;
    this.#observer.note({ kind: "server-overload", server: this.backend.name, overloaded, causes });
    this.#events.changed(this);
  }
}

function causeName(cause: OverloadCause): string {
  return (OverloadCause[cause] ?? String(cause)).replace("OVERLOAD_CAUSE_", "");
}
