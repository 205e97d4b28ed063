import {
  type GetStatusRequest,
  type GetStatusResponse,
  type ListServersRequest,
  type ListServersResponse,
  type Server,
  ServerHealth,
  ServerState as StateCode,
} from "@bilancia/proto/gen/admin";
import { toTimestamp } from "@bilancia/proto/time";
import type { handleUnaryCall } from "@grpc/grpc-js";
import type { Health } from "../domain/health.js";
import type { ServerState } from "../domain/server-state.js";
import type { DeadLetters, LedgerIdentity, Observer, ServerDirectory, ServerView, UploadDirectory } from "../ports.js";
import { DeadLetterService } from "./dead-letter-service.js";

/** What the admin service reports on. */
export interface AdminServiceParts {
  readonly servers: ServerDirectory;
  readonly uploads: UploadDirectory;
  readonly deadLetters: DeadLetters;
  readonly observer: Observer;
  readonly ledger: LedgerIdentity;
  readonly queue: "memory" | "embedded";
  readonly version: string;
  readonly startedAtMs: number;
  /** Open `UploadFile` streams, now. */
  readonly uploadStreams: () => number;
}

/** The rpcs of the `Admin` service. */
type AdminHandlers = DeadLetterService["handlers"] & {
  listServers: handleUnaryCall<ListServersRequest, ListServersResponse>;
  getStatus: handleUnaryCall<GetStatusRequest, GetStatusResponse>;
};

/** The `Admin` service: what it tells of servers and balancer; the dead letters are a `DeadLetterService`. */
export class AdminService {
  readonly #parts: AdminServiceParts;

  readonly handlers: AdminHandlers;

  constructor(parts: AdminServiceParts) {
    this.#parts = parts;
    this.handlers = {
      listServers: (_call, callback) => callback(null, { servers: this.#parts.servers.servers().map(toServer) }),
      getStatus: (_call, callback) => callback(null, this.#status()),
      ...new DeadLetterService(parts.deadLetters, parts.observer).handlers,
    };
  }

  #status(): GetStatusResponse {
    const { servers, uploads, ledger, queue, version, startedAtMs, uploadStreams } = this.#parts;
    const counts = uploads.counts();
    const pool = servers.servers();
    return {
      version,
      startedAt: toTimestamp(startedAtMs),
      origin: ledger.origin,
      term: BigInt(ledger.term),
      queue,
      receivingFiles: BigInt(counts.receivingFiles),
      queuedFiles: BigInt(counts.queuedFiles),
      dispatchingFiles: BigInt(counts.dispatchingFiles),
      queuedBytes: BigInt(counts.queuedBytes),
      storedFiles: BigInt(counts.storedFiles),
      storedBytes: BigInt(counts.storedBytes),
      rejectedFiles: BigInt(counts.rejectedFiles),
      uploadStreams: uploadStreams(),
      lastRequestNumber: counts.lastRequestNumber,
      availableServers: pool.filter(({ state }) => state.kind === "available").length,
      servers: pool.length,
      memoryBytes: BigInt(process.memoryUsage.rss()),
    };
  }
}

const healthCodes: Record<Health["kind"], ServerHealth> = {
  unknown: ServerHealth.SERVER_HEALTH_UNKNOWN,
  healthy: ServerHealth.SERVER_HEALTH_HEALTHY,
  unhealthy: ServerHealth.SERVER_HEALTH_UNHEALTHY,
};

const stateCodes: Record<ServerState["kind"], StateCode> = {
  unknown: StateCode.SERVER_STATE_UNKNOWN,
  unhealthy: StateCode.SERVER_STATE_UNHEALTHY,
  draining: StateCode.SERVER_STATE_DRAINING,
  drained: StateCode.SERVER_STATE_DRAINED,
  ejected: StateCode.SERVER_STATE_EJECTED,
  overloaded: StateCode.SERVER_STATE_OVERLOADED,
  busy: StateCode.SERVER_STATE_BUSY,
  full: StateCode.SERVER_STATE_FULL,
  available: StateCode.SERVER_STATE_AVAILABLE,
};

function toServer(view: ServerView): Server {
  const { backend, state, full, load, storedFiles, storedBytes, failedAttempts } = view;
  const { name, address, weight, health, overload, inFlightFiles, inFlightBytes } = backend;
  return {
    name,
    address,
    weight,
    available: state.kind === "available",
    health: healthCodes[health.kind],
    healthSince: toTimestamp(health.sinceMs),
    healthReason: health.reason,
    overloaded: overload !== undefined,
    full,
    inFlightFiles,
    inFlightBytes: BigInt(inFlightBytes),
    storedFiles: BigInt(storedFiles),
    storedBytes: BigInt(storedBytes),
    failedAttempts: BigInt(failedAttempts),
    load,
    state: stateCodes[state.kind],
    stateSince: state.sinceMs === undefined ? undefined : toTimestamp(state.sinceMs),
    stateReason: state.reason,
  };
}
