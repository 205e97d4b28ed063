import type { Backend } from "./backend.js";
import type { PickEnd, PickReason, PickRecord } from "./pick.js";
import { candidates } from "./pick.js";
import { type PolicyName, policyNames } from "./policy.js";
import { type Priority, priorities } from "./priority.js";
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
  /** Absent where it was normal. */
  readonly priority?: Priority | undefined;
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
  const { requestNumber, attempt, client, sizeBytes, priority, dueSinceMs, reason, server, pool } = record;
  return {
    kind: "pick",
    requestNumber: String(requestNumber),
    ...{ attempt, client, sizeBytes, priority, arrivedMs: dueSinceMs, atMs: pool.atMs, policy: pool.policy },
    ...{ reason, server },
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

/** A line of the trace. */
export type TraceLine = TracedPick | TracedEnd | TracedGap;

/** What a line of the trace says, or what is wrong with it, for people. */
export function readTraceLine(text: string): TraceLine | { readonly kind: "unreadable"; readonly problem: string } {
  const unreadable = (problem: string) => ({ kind: "unreadable", problem }) as const;
  let line: Record<string, unknown>;
  try {
    line = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return unreadable("expected a JSON object");
  }
  const fields = isObject(line) ? lineFields.get(String(line.kind)) : undefined;
  if (!fields) return unreadable(`expected "kind" to be one of ${[...lineFields.keys()].join(", ")}`);
  const problem = fieldProblem(line, fields) ?? (line.kind === "pick" ? choiceProblem(line) : undefined);
  return problem === undefined ? (line as unknown as TraceLine) : unreadable(problem);
}

type Fields = Readonly<Record<string, "string" | "number">>;

const lineFields: ReadonlyMap<string, Fields> = new Map(
  Object.entries({
    pick: {
      ...{ requestNumber: "string", attempt: "number", client: "string", arrivedMs: "number", atMs: "number" },
      ...{ policy: "string", reason: "string", server: "string", maxBytes: "number" },
    },
    end: { requestNumber: "string", attempt: "number", outcome: "string", atMs: "number" },
    gap: { lines: "number" },
  } as const),
);
const serverFields: Fields = { server: "string", state: "string", effectiveWeight: "number", maxFiles: "number" };

function choiceProblem(line: Record<string, unknown>): string | undefined {
  const { servers, policy, priority } = line;
  if (priority !== undefined && !priorities.some((name) => name === priority))
    return `expected "priority" to be one of ${priorities.join(", ")}`;
  if (!policyNames.some((name) => name === policy)) return `expected "policy" to be one of ${policyNames.join(", ")}`;
  if (!Array.isArray(servers)) return 'expected "servers" to be a list';
  for (const server of servers) {
    const problem = isObject(server) ? fieldProblem(server, serverFields) : "expected a server to be an object";
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function fieldProblem(object: Record<string, unknown>, fields: Fields): string | undefined {
  for (const [name, type] of Object.entries(fields)) {
    if (typeof object[name] !== type) return `expected "${name}" to be a ${type}; came ${JSON.stringify(object[name])}`;
  }
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
