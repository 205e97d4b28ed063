import type { Backend } from "./backend.js";
import type { PickEnd, PickReason, PickRecord } from "./pick.js";
import { candidates } from "./pick.js";
import type { PolicyName } from "./policy.js";
import type { ServerState } from "./server-state.js";

/** A server in a line of the trace. */
export interface TracedServer {
  readonly server: string;
  readonly state: ServerState["kind"];
  /** Absent for what comes and goes with every file. */
  readonly sinceMs?: number | undefined;
  readonly why: string;
  readonly weight: Backend["weight"];
  readonly effectiveWeight: number;
  readonly inFlightFiles: number;
  readonly inFlightBytes: number;
  readonly maxFiles: number;
  readonly refused: boolean;
  readonly compared: boolean;
  readonly before?: number | undefined;
  readonly after?: number | undefined;
}

/** A choice in the trace. Times are Unix milliseconds. */
export interface TracedPick {
  readonly kind: "pick";
  /** In decimal digits. */
  readonly requestNumber: string;
  readonly attempt: number;
  readonly client: string;
  /** Absent where it was not known yet. */
  readonly sizeBytes?: number | undefined;
  readonly arrivedMs: number;
  readonly atMs: number;
  readonly policy: PolicyName;
  readonly reason: PickReason;
  readonly server: string;
  readonly maxBytes: number;
  readonly servers: readonly TracedServer[];
}

/** The end of an attempt in the trace. */
export interface TracedEnd {
  readonly kind: "end";
  readonly requestNumber: string;
  readonly attempt: number;
  readonly outcome: PickEnd["outcome"];
  /** Only of what is stored. */
  readonly sizeBytes?: number | undefined;
  readonly atMs: number;
}

/** Choices are missing here, because the disk was too slow for them. */
export interface TracedGap {
  readonly kind: "gap";
  readonly lines: number;
}

/** A choice, as a trace has it. */
export function tracedPick(record: PickRecord): TracedPick {
  const { requestNumber, attempt, client, sizeBytes, dueSinceMs, reason, server, pool } = record;
  return {
    kind: "pick",
    requestNumber: String(requestNumber),
    ...{ attempt, client, sizeBytes, arrivedMs: dueSinceMs, atMs: pool.atMs, policy: pool.policy, reason, server },
    maxBytes: pool.maxBytes,
    servers: candidates(record).map(({ state, ...candidate }) => ({
      ...candidate,
      state: state.kind,
      sinceMs: state.sinceMs,
      why: state.reason,
    })),
  };
}

/** The end of an attempt, as a trace has it. */
export function tracedEnd({ requestNumber, ...end }: PickEnd): TracedEnd {
  return { kind: "end", requestNumber: String(requestNumber), ...end };
}
