import { type Backend, type InFlightLimits, isEjected, isFull, isReachable } from "./backend.js";

/** Why a server is given new files, or what keeps it from them. Of several reasons the one that is hardest to overcome. */
export interface ServerState {
  readonly kind:
    | "unknown"
    | "unhealthy"
    | "draining"
    /** Draining, and nothing is on its way to it any more. */
    | "drained"
    | "lease-expired"
    | "ejected"
    | "overloaded"
    | "busy"
    | "full"
    | "available";
  /** Unix time; `undefined` for what comes and goes with every file. */
  readonly sinceMs: number | undefined;
  /** For people. */
  readonly reason: string;
}

/** What is to be said of a server. `available` exactly when `isAvailable`. */
export function serverState(backend: Backend, limits: InFlightLimits, nowMs: number): ServerState {
  const { health, draining, lapsed, ejection, overload, busyUntilMs, inFlightFiles, inFlightBytes } = backend;
  if (draining) {
    const empty = inFlightFiles === 0;
    return { kind: empty ? "drained" : "draining", ...draining };
  }
  if (lapsed) return { kind: "lease-expired", ...lapsed };
  if (!isReachable(backend)) {
    return {
      kind: health.kind === "unknown" ? "unknown" : "unhealthy",
      sinceMs: health.sinceMs,
      reason: health.reason,
    };
  }
  if (ejection && isEjected(backend, nowMs)) {
    const { sinceMs, untilMs, reason } = ejection;
    return { kind: "ejected", sinceMs, reason: `${reason}; for another ${untilMs - nowMs} ms` };
  }
  if (overload) return { kind: "overloaded", ...overload };
  if (nowMs < busyUntilMs) {
    return { kind: "busy", sinceMs: undefined, reason: `asked to be left alone for another ${busyUntilMs - nowMs} ms` };
  }
  if (isFull(backend, limits)) {
    return { kind: "full", sinceMs: undefined, reason: `${inFlightFiles} files, ${inFlightBytes} bytes on their way` };
  }
  return { kind: "available", sinceMs: health.sinceMs, reason: health.reason };
}
