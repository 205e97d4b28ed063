import type { LoadResponse } from "@bilancia/proto/gen/storage";
import { callUnary } from "@bilancia/proto/unary";
import { type ServiceError, status } from "@grpc/grpc-js";
import type { HealthSign } from "../domain/health.js";
import type { StorageLink } from "./storage-link.js";

/** How often a server is asked, and how long it may take to answer, in milliseconds. */
export interface ProbeTiming {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** What a probe found. `load` is absent where the server does not answer, or does not implement it. */
export interface ProbeResult {
  readonly sign: HealthSign;
  readonly load: LoadResponse | undefined;
}

/** Asks one server for its health and its load, again and again. grpc-js has no health checking on the client's side. */
export class ServerProbe {
  readonly #link: StorageLink;
  readonly #timing: ProbeTiming;
  readonly #report: (result: ProbeResult) => void;
  #timer: NodeJS.Timeout | undefined;
  #running = false;
  #again = false;
  #stopped = false;
  /** Who waits for the result of a probe that has not begun yet. */
  #waiting: (() => void)[] = [];

  constructor(link: StorageLink, timing: ProbeTiming, report: (result: ProbeResult) => void) {
    this.#link = link;
    this.#timing = timing;
    this.#report = report;
  }

  /** Probes now, and from then on in every interval. Resolves after the first result. */
  start(): Promise<void> {
    return this.fresh();
  }

  /** Probes at once; resolves after the result of a probe that began after this call. */
  fresh(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.now();
    });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Probes at once: something has happened that may have changed the server's health. */
  now(): void {
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
    this.#probe().then(finished, (error: unknown) => finished({ sign: failing("probe", error), load: undefined }));
  }

  #finished(result: ProbeResult, tookMs: number): void {
    this.#running = false;
    if (this.#stopped) return;
    const waitMs = this.#again ? 0 : Math.max(0, this.#timing.intervalMs - tookMs);
    this.#again = false;
    this.#timer = setTimeout(() => this.now(), waitMs);
    this.#report(result);
  }

  async #probe(): Promise<ProbeResult> {
    const { health, storage } = this.#link;
    const { timeoutMs } = this.#timing;
    const [checked, loaded] = await Promise.allSettled([
      callUnary(health.check.bind(health), { service: "" }, timeoutMs),
      callUnary<object, LoadResponse>(storage.load.bind(storage), {}, timeoutMs),
    ]);
    const load = loaded.status === "fulfilled" ? loaded.value : undefined;
    if (checked.status === "rejected") return { sign: failing("health check", checked.reason), load };
    if (checked.value.status !== "SERVING") {
      return { sign: { kind: "failing", reason: `health check says ${checked.value.status}` }, load };
    }
    if (loaded.status === "rejected" && (loaded.reason as ServiceError).code !== status.UNIMPLEMENTED) {
      return { sign: failing("load report", loaded.reason), load };
    }
    return { sign: { kind: "serving" }, load };
  }
}

function failing(what: string, reason: unknown): HealthSign {
  const { code, details } = reason as ServiceError;
  if (code === status.DEADLINE_EXCEEDED) return { kind: "failing", reason: `${what}: no answer in time` };
  return { kind: "failing", reason: `${what}: ${status[code] ?? "failed"}${details ? `, ${details}` : ""}` };
}
