import { setTimeout as delay } from "node:timers/promises";
import { Capability, type LoadResponse, OverloadCause } from "@bilancia/proto/gen/storage";
import { firstChars } from "@bilancia/proto/status-text";
import { type Backend, isReachable, newBackend } from "../domain/backend.js";
import { Conduct, type EjectionPolicy } from "../domain/conduct.js";
import { DeliveryMeter } from "../domain/delivery-meter.js";
import { type HealthSign, nextHealth, probePauseMs } from "../domain/health.js";
import type { ServerEntry } from "../domain/server-entry.js";
import type { Clock } from "../ports/clock.js";
import type { Observer } from "../ports/observer.js";
import { OverloadBit } from "./overload-bit.js";
import { type ProbeSettings, ServerProbe } from "./server-probe.js";
import type { ServerSecurity } from "./server-security.js";
import { ServerWatch } from "./server-watch.js";
import { StorageLink } from "./storage-link.js";

/** For how long a server that says that it has started is looked for, and how often, in milliseconds. */
const announcedMs = 2_000;
const announcedPauseMs = 100;
/** Most characters kept of each text in which a server says who it is. */
const maxTextChars = 200;
/** So many causes of an overload are believed and told at most; each is one of the few that there are. */
const maxCauses = 16;
const noCauses: readonly OverloadCause[] = [];

/** What a server in the pool tells the pool. */
export interface PooledServerEvents {
  /** It may be available now, or no longer. */
  changed(server: PooledServer): void;
  /** It can be talked to again, or is another process now. */
  returned(server: PooledServer): void;
  /** It says that it has started, and can be talked to. */
  announced(server: PooledServer): void;
  /** It was healthy, and is not any more. */
  fell(server: PooledServer): void;
}

/** What a server in the pool works with. */
export interface PooledServerParts {
  readonly security: ServerSecurity;
  readonly probe: ProbeSettings;
  readonly ejection: EjectionPolicy;
  readonly clock: Clock;
  readonly observer: Observer;
  readonly events: PooledServerEvents;
}

/** One storage server: what is believed of it, the link to it, and the probe that asks. Feeds facts into `backend`, decides nothing. */
export class PooledServer {
  readonly backend: Backend;
  readonly conduct: Conduct;
  readonly meter: DeliveryMeter;
  readonly link: StorageLink;
  load: LoadResponse | undefined;
  /** It is about to be removed: nothing is to be begun on it, not even for files that it may hold. */
  leaving = false;
  /** It is no member of the pool any more, and leaves when nothing is on its way to it: who wanted that. */
  retiring: string | undefined;
  storedFiles = 0;
  storedBytes = 0;
  failedAttempts = 0;
  #silencesInRow = 0;
  readonly #probe: ServerProbe;
  readonly #watch: ServerWatch;
  readonly #bit = new OverloadBit<readonly OverloadCause[]>((overloaded, causes) =>
    this.#overloaded(overloaded, causes),
  );
  readonly #parts: PooledServerParts;

  constructor(entry: ServerEntry, parts: PooledServerParts) {
    this.#parts = parts;
    const { security, probe, ejection, clock } = parts;
    this.backend = newBackend(entry, clock.nowMs());
    this.conduct = new Conduct(ejection);
    this.meter = new DeliveryMeter(clock.nowMs());
    const events = {
      overloaded: (bit: boolean) => this.#bit.say(bit, noCauses),
      broken: (message: string, unreachable: boolean) => {
        if (unreachable) this.#sign({ kind: "gone", reason: `connection lost: ${message}` });
        this.#probe.now();
      },
    };
    this.link = new StorageLink(entry.address, events, security);
    this.#watch = new ServerWatch(this.link, {
      load: (load) => this.#loaded(load),
      suspicious: () => this.#probe.now(),
    });
    this.#probe = new ServerProbe({
      link: this.link,
      settings: probe,
      knownToServe: () => this.#watch.serving,
      report: ({ sign, load }) => {
        if (load) this.#loaded(load);
        this.#sign(sign);
        if (isReachable(this.backend)) this.#watch.open(this.offers(Capability.CAPABILITY_WATCH_LOAD));
        return probePauseMs(this.backend.health, probe.intervalMs);
      },
    });
  }

  /** Whether the server has said that it implements an optional rpc. What it has not announced is not called. */
  offers(capability: Capability): boolean {
    return this.load?.capabilities.includes(capability) ?? false;
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
    // Also where nobody had noticed that it was away. It may say so as often as it likes.
    if (isReachable(this.backend)) this.#parts.events.announced(this);
  }

  stop(): void {
    this.#probe.stop();
    this.#watch.close();
    this.#bit.stop();
    this.link.close();
  }

  #sign(sign: HealthSign): void {
    const { probe, clock, observer, events } = this.#parts;
    const before = this.backend.health;
    const after = nextHealth(before, sign, clock.nowMs(), probe);
    this.backend.health = after;
    this.#silencesInRow = sign.kind === "silent" ? this.#silencesInRow + 1 : 0;
    // Answers will not come over a connection that hangs; the files are better tried elsewhere. A server that says that it stops may still answer,
    // for as long as it says that much.
    const isMute = sign.kind === "gone" || this.#silencesInRow >= probe.fall;
    if (after.kind === "unhealthy" && isMute) this.link.reset();
    if (after.kind === before.kind) return;
    const { name: server } = this.backend;
    observer.note({ kind: "server-health", server, from: before.kind, to: after.kind, reason: after.reason });
    if (after.kind === "healthy") events.returned(this);
    else {
      this.#watch.close();
      if (before.kind === "healthy") events.fell(this);
    }
    events.changed(this);
  }

  #loaded(load: LoadResponse): void {
    const before = this.load?.instanceId ?? "";
    const causes = distinct(load.causes);
    const [instanceId = "", serverName = "", version = ""] = [load.instanceId, load.serverName, load.version].map(
      (text) => firstChars(text, maxTextChars),
    );
    this.load = { ...load, causes, instanceId, serverName, version };
    const isAnother = before !== "" && instanceId !== "" && instanceId !== before;
    if (isAnother && isReachable(this.backend)) this.#parts.events.returned(this);
    this.#bit.say(load.overloaded, causes);
  }

  #overloaded(overloaded: boolean, causes: readonly OverloadCause[]): void {
    const { clock, observer, events } = this.#parts;
    const words = causes.map(causeName);
    const reason = words.length > 0 ? words.join(", ").toLowerCase().replaceAll("_", " ") : "says so";
    if (overloaded) this.backend.limit?.overloaded();
    this.backend.overload = overloaded ? { sinceMs: clock.nowMs(), reason } : undefined;
    observer.note({ kind: "server-overload", server: this.backend.name, overloaded, causes: words });
    events.changed(this);
  }
}

/** The first of the causes, each once: how many a server says is up to it. */
function distinct(causes: readonly OverloadCause[]): OverloadCause[] {
  const found = new Set<OverloadCause>();
  for (const cause of causes) if (found.add(cause).size === maxCauses) break;
  return [...found];
}

function causeName(cause: OverloadCause): string {
  return (OverloadCause[cause] ?? String(cause)).replace("OVERLOAD_CAUSE_", "");
}
