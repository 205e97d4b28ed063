import type { AdaptiveLimit } from "./adaptive-limit.js";
import type { Ejection } from "./conduct.js";
import { type Health, unknownHealth } from "./health.js";
import type { ServerEntry } from "./server-entry.js";

/** How much may be on its way to one server at a time. */
export interface InFlightLimits {
  /** Files begun and not yet answered; `Backend.limit` may be lower. */
  readonly maxFiles: number;
  /** Bytes of these; a file counts with at most `streamedFileBytes`, for no more of it is under way at once. */
  readonly maxBytes: number;
}

/** What a file larger than one message counts for in `InFlightLimits.maxBytes`: about what a stream buffers. */
export const streamedFileBytes = 1024 * 1024;

/** Something that is so for a while. `sinceMs` is Unix time; `reason` is for people. */
export interface Spell {
  readonly sinceMs: number;
  readonly reason: string;
}

/** The balancer's view of one storage server. Plain facts; whoever learns one writes it here. */
export interface Backend {
  readonly name: string;
  readonly address: string;
  weight: number;
  health: Health;
  /** The overload bit, as it was last heard: since when, and why, for people. */
  overload: Spell | undefined;
  /** Nothing new by an operator's wish. */
  draining: Spell | undefined;
  /** Nothing new because it has joined by itself, and has not renewed its lease. */
  lapsed: Spell | undefined;
  /** Left alone although it answers; over when its time is. */
  ejection: Ejection | undefined;
  inFlightFiles: number;
  inFlightBytes: number;
  /** How many files it takes at a time, where that is learned; `undefined` for as many as all may. */
  limit: AdaptiveLimit | undefined;
  /** Nothing new before this Unix time: the server answered `busy`. */
  busyUntilMs: number;
  /** Since when its weight grows (`slow-start.ts`): when it joined or returned. */
  backSinceMs: number;
}

/** A backend nobody has heard of yet. */
export function newBackend({ name, address, weight }: ServerEntry, nowMs: number): Backend {
  return {
    name,
    address,
    weight,
    health: unknownHealth(nowMs),
    overload: undefined,
    draining: undefined,
    lapsed: undefined,
    ejection: undefined,
    inFlightFiles: 0,
    inFlightBytes: 0,
    limit: undefined,
    busyUntilMs: 0,
    backSinceMs: 0,
  };
}

/** Whether as much is on its way to the server as may be. */
export function isFull(backend: Backend, limits: InFlightLimits): boolean {
  return backend.inFlightFiles >= fileLimit(backend, limits) || backend.inFlightBytes >= limits.maxBytes;
}

/** How many files may be on their way to the server at a time. */
export function fileLimit({ limit }: Backend, { maxFiles }: InFlightLimits): number {
  return limit ? Math.min(limit.files, maxFiles) : maxFiles;
}

/** Whether the server can be talked to at all. */
export function isReachable(backend: Backend): boolean {
  return backend.health.kind === "healthy";
}

/** Whether the server is left alone for its conduct. */
export function isEjected({ ejection }: Backend, nowMs: number): boolean {
  return ejection !== undefined && nowMs < ejection.untilMs;
}

/** Whether nothing can be expected of the server for a while: it cannot be talked to, is drained, has no lease any more, or is left alone for its conduct. */
export function isOut(backend: Backend, nowMs: number): boolean {
  const { draining, lapsed } = backend;
  return !isReachable(backend) || draining !== undefined || lapsed !== undefined || isEjected(backend, nowMs);
}

/** Whether the server may be given a new file now. `serverState` says why not. */
export function isAvailable(backend: Backend, limits: InFlightLimits, nowMs: number): boolean {
  return !isOut(backend, nowMs) && !backend.overload && nowMs >= backend.busyUntilMs && !isFull(backend, limits);
}

/** What a file of this size counts for in `Backend.inFlightBytes`. An unknown size counts as a large one. */
export function inFlightCharge(sizeBytes: number | undefined): number {
  return Math.min(sizeBytes ?? streamedFileBytes, streamedFileBytes);
}

/** What a file on its way costs a server beside its bytes, in bytes. */
const fileLoadBytes = 4_096;

/** How much is on its way to the server, in bytes, for whoever compares servers. */
export function loadOf({ inFlightFiles, inFlightBytes }: Pick<Backend, "inFlightFiles" | "inFlightBytes">): number {
  return inFlightBytes + inFlightFiles * fileLoadBytes;
}

/**
 * The server that can best be given a file although none should be: one that is overloaded or ejected, but answers, has room, and did not ask to be left alone; of
 * these the one with the least on its way for its weight. `undefined` when there is none.
 */
export function leastBad<Server extends { readonly backend: Backend }>(
  servers: Iterable<Server>,
  limits: InFlightLimits,
  nowMs: number,
): Server | undefined {
  let best: Server | undefined;
  let bestLoad = Number.POSITIVE_INFINITY;
  for (const server of servers) {
    const { backend } = server;
    if (!isReachable(backend) || backend.draining || backend.lapsed) continue;
    if (nowMs < backend.busyUntilMs || isFull(backend, limits)) continue;
    const load = loadOf(backend) / backend.weight;
    if (load >= bestLoad) continue;
    best = server;
    bestLoad = load;
  }
  return best;
}
