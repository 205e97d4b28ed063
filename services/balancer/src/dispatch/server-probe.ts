import { connectionWords } from "@bilancia/proto/connection-words";
import type { LoadResponse } from "@bilancia/proto/gen/storage";
import type { HealthCheckResponse } from "@bilancia/proto/health";
import { callUnary } from "@bilancia/proto/unary";
import { type ServiceError, status } from "@grpc/grpc-js";
import type { HealthSign, HealthThresholds } from "../domain/health.js";
import type { StorageLink } from "./storage-link.js";

/** How a server is asked. */
export interface ProbeSettings extends HealthThresholds {
  /** How often while it is healthy, in milliseconds; four times as often while it is not. */
  readonly intervalMs: number;
  /** How long it may take to answer, in milliseconds. */
  readonly timeoutMs: number;
}

/** What a probe found. `load` is absent where the server does not answer, or does not implement it. */
export interface ProbeResult {
  readonly sign: HealthSign;
  readonly load: LoadResponse | undefined;
}

/** What a probe needs of its surroundings. */
export interface ServerProbeParts {
  readonly link: StorageLink;
  readonly settings: Pick<ProbeSettings, "timeoutMs">;
  /** Whether the server has said by itself that it serves: then it is asked for its load only, as a sign of life. */
  readonly knownToServe: () => boolean;
  /** Takes a result; says how long after the beginning of this probe the next one follows, in milliseconds. */
  readonly report: (result: ProbeResult) => number;
}

/** Asks one server for its health and its load, again and again. grpc-js has no health checking on the client's side. */
export class ServerProbe {
  readonly #parts: ServerProbeParts;
  #timer: NodeJS.Timeout | undefined;
  #running = false;
  #again = false;
  #stopped = false;
  /** Who waits for the result of a probe that has not begun yet. */
  #waiting: (() => void)[] = [];

  constructor(parts: ServerProbeParts) {
    this.#parts = parts;
  }

  /** Probes now, and from then on again and again. Resolves after the first result. */
  start(): Promise<void> {
    return this.fresh();
  }

  /** Probes at once; resolves after the result of a probe that began after this call, or without one where nobody is asked any more. */
  fresh(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.now();
    });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Probes at once: something has happened that may have changed the server's health. */
  now(): void {
    if (this.#stopped) return;
    if (this.#running) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#running = true;
    const startedMs = performance.now();
    const waiting = this.#waiting.splice(0);
    const finished = (result: ProbeResult) => {
      this.#finished(result, performance.now() - startedMs);
      for (const resolve of waiting) resolve();
    };
    this.#probe().then(finished, (error: unknown) => finished({ sign: failed("probe", error), load: undefined }));
  }

  #finished(result: ProbeResult, tookMs: number): void {
    this.#running = false;
    if (this.#stopped) return;
    const pauseMs = this.#parts.report(result);
    if (this.#stopped) return;
    const waitMs = this.#again ? 0 : Math.max(0, pauseMs - tookMs);
    this.#again = false;
    this.#timer = setTimeout(() => this.now(), waitMs);
  }

  async #probe(): Promise<ProbeResult> {
    const { link, settings, knownToServe } = this.#parts;
    const { timeoutMs } = settings;
    const { health, storage } = link;
    const [checked, loaded] = await Promise.allSettled([
      knownToServe() ? serving : callUnary(health.check.bind(health), { service: "" }, timeoutMs),
      callUnary<object, LoadResponse>(storage.load.bind(storage), {}, timeoutMs),
    ]);
    const load = loaded.status === "fulfilled" ? loaded.value : undefined;
    if (checked.status === "rejected") return { sign: failed("health check", checked.reason), load };
    if (checked.value.status !== "SERVING") {
      return { sign: { kind: "refusing", reason: `health check says ${checked.value.status}` }, load };
    }
    if (loaded.status === "rejected" && (loaded.reason as ServiceError).code !== status.UNIMPLEMENTED) {
      return { sign: failed("load report", loaded.reason), load };
    }
    return { sign: { kind: "serving" }, load };
  }
}

const serving: HealthCheckResponse = { status: "SERVING" };

function failed(what: string, error: unknown): HealthSign {
  const { code, details } = error as ServiceError;
  if (code === status.DEADLINE_EXCEEDED) return { kind: "silent", reason: `${what}: no answer in time` };
  const reason = `${what}: ${status[code] ?? "failed"}${details ? `, ${connectionWords(details)}` : ""}`;
  return { kind: code === status.UNAVAILABLE ? "gone" : "silent", reason };
}
