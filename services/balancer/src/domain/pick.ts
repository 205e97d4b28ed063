import { type Backend, fileLimit, type InFlightLimits, loadOf } from "./backend.js";
import type { PolicyName, Standings } from "./policy.js";
import { type ServerState, serverState } from "./server-state.js";
import type { Blocks } from "./shared-list.js";
import { weightUnit } from "./slow-start.js";
import type { UploadDescription } from "./upload.js";

/** What put a file on its server. */
export type PickReason =
  /** The policy, among those that were available. */
  | "policy"
  /** Nobody was available, and it was the least bad. */
  | "spilled"
  /** It had claimed the file. */
  | "claimed"
  /** Its answer to an earlier attempt was lost: it may hold the file. */
  | "may_hold";

/** A server as it was when a file was placed: the facts as they were believed. */
export interface ServerSnapshot extends Readonly<Omit<Backend, "limit" | "address" | "backSinceMs">> {
  /** How many files it took at a time. */
  readonly maxFiles: number;
  /** Its weight as it counted: grown so far after a return, and as was learned. */
  readonly effectiveWeight: number;
}

/** Written out, because it is done for each server with each file: a copy by spreading takes twenty times as long. */
export function snapshotOf(
  backend: Readonly<Backend>,
  limits: InFlightLimits,
  effectiveWeight: number,
): ServerSnapshot {
  return {
    name: backend.name,
    weight: backend.weight,
    health: backend.health,
    overload: backend.overload,
    draining: backend.draining,
    lapsed: backend.lapsed,
    ejection: backend.ejection,
    inFlightFiles: backend.inFlightFiles,
    inFlightBytes: backend.inFlightBytes,
    busyUntilMs: backend.busyUntilMs,
    maxFiles: fileLimit(backend, limits),
    effectiveWeight,
  };
}

/** Whether a server still is as it was: then there is no need of another snapshot. */
export function isStillAs(
  snapshot: ServerSnapshot,
  backend: Readonly<Backend>,
  limits: InFlightLimits,
  effectiveWeight: number,
): boolean {
  return (
    snapshot.inFlightFiles === backend.inFlightFiles &&
    snapshot.inFlightBytes === backend.inFlightBytes &&
    snapshot.name === backend.name &&
    snapshot.weight === backend.weight &&
    snapshot.effectiveWeight === effectiveWeight &&
    snapshot.health === backend.health &&
    snapshot.overload === backend.overload &&
    snapshot.draining === backend.draining &&
    snapshot.lapsed === backend.lapsed &&
    snapshot.ejection === backend.ejection &&
    snapshot.busyUntilMs === backend.busyUntilMs &&
    snapshot.maxFiles === fileLimit(backend, limits)
  );
}

/** A pool as it was when a file was placed. */
export interface PoolSnapshot {
  readonly atMs: number;
  readonly policy: PolicyName;
  readonly maxBytes: number;
  readonly servers: Blocks<ServerSnapshot>;
  readonly standings: Standings;
}

/** How a file was placed, as it is taken down: facts only, so that taking it down is cheap. */
export interface PickRecord {
  readonly requestNumber: bigint;
  readonly attempt: number;
  readonly client: string;
  /** Length of the file, where it was known. */
  readonly sizeBytes: number | undefined;
  /** How urgent it was for its client; absent where that was nothing special. */
  readonly priority?: UploadDescription["priority"];
  /** From when on the file waited, in Unix milliseconds. */
  readonly dueSinceMs: number;
  readonly server: string;
  readonly reason: PickReason;
  /** Servers that had refused the file. */
  readonly refusedBy: ReadonlySet<string>;
  readonly pool: PoolSnapshot;
  /** How the servers stood in the policy afterwards. */
  readonly after: Standings;
  /** Whom the policy compared, where not all that were available. */
  readonly compared: readonly string[] | undefined;
}

/** How an attempt that was placed came out. */
export interface PickEnd {
  readonly requestNumber: bigint;
  readonly attempt: number;
  readonly outcome: "saved" | "busy" | "refused" | "lost" | "void";
  /** Length of the file, where it was stored. */
  readonly sizeBytes: number | undefined;
  readonly atMs: number;
}

/** One server's part in a choice. */
export interface Candidate {
  readonly server: string;
  readonly state: ServerState;
  readonly weight: number;
  readonly effectiveWeight: number;
  readonly inFlightFiles: number;
  readonly inFlightBytes: number;
  readonly maxFiles: number;
  /** It had refused this file. */
  readonly refused: boolean;
  /** Whether the policy looked at it. */
  readonly compared: boolean;
  /** How it stood in the policy before and after, in the policy's measure: see `Policy.standings`; for whole weights. */
  readonly before: number | undefined;
  readonly after: number | undefined;
}

/** Who was considered, and what spoke against those that were not. */
export function candidates({ pool, refusedBy, after, compared, reason }: PickRecord): Candidate[] {
  const { atMs, maxBytes, policy } = pool;
  const servers = pool.servers.flat();
  const loads = new Map(servers.map((snapshot) => [snapshot.name, loadOf(snapshot)]));
  const load = (server: string) => loads.get(server) ?? 0;
  const stoodBefore = pool.standings(load);
  const stoodAfter = after(load);
  return servers.map((snapshot) => {
    const { name, weight, effectiveWeight, inFlightFiles, inFlightBytes, maxFiles } = snapshot;
    const limits: InFlightLimits = { maxFiles, maxBytes };
    const state = serverState({ ...snapshot, address: "", limit: undefined, backSinceMs: 0 }, limits, atMs);
    const refused = refusedBy.has(name);
    const inChoice = reason === "policy" && state.kind === "available" && !refused;
    return {
      ...{ server: name, state, weight, effectiveWeight, inFlightFiles, inFlightBytes, maxFiles, refused },
      compared: inChoice && (compared === undefined || compared.includes(name)),
      before: standing(stoodBefore.get(name), policy),
      after: standing(stoodAfter.get(name), policy),
    };
  });
}

/** As the documentation has the sequence: in whole weights. What is on its way is per whole weight, too. */
function standing(value: number | undefined, policy: PolicyName): number | undefined {
  if (value === undefined) return undefined;
  return policy === "least_load" ? value * weightUnit : value / weightUnit;
}
