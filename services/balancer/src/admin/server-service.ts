import {
  type AddServerRequest,
  type AddServerResponse,
  type DrainServerRequest,
  type DrainServerResponse,
  type EnableServerRequest,
  type EnableServerResponse,
  type ListServersRequest,
  type ListServersResponse,
  type RemoveServerRequest,
  type RemoveServerResponse,
  type Server,
  ServerHealth,
  type SetServerWeightRequest,
  type SetServerWeightResponse,
  ServerState as StateCode,
} from "@bilancia/proto/gen/admin";
import { toTimestamp } from "@bilancia/proto/time";
import type { handleUnaryCall } from "@grpc/grpc-js";
import type { Health } from "../domain/health.js";
import type { ServerState } from "../domain/server-state.js";
import type { Observer } from "../ports/observer.js";
import type { ServerKeeper, ServerView } from "../ports/server-keeper.js";
import { unaryCall } from "../wire/unary-call.js";

/** The storage servers' part of the `Admin` service. */
export class ServerService {
  readonly #servers: ServerKeeper;
  readonly #observer: Observer;

  readonly handlers: {
    listServers: handleUnaryCall<ListServersRequest, ListServersResponse>;
    addServer: handleUnaryCall<AddServerRequest, AddServerResponse>;
    setServerWeight: handleUnaryCall<SetServerWeightRequest, SetServerWeightResponse>;
    drainServer: handleUnaryCall<DrainServerRequest, DrainServerResponse>;
    enableServer: handleUnaryCall<EnableServerRequest, EnableServerResponse>;
    removeServer: handleUnaryCall<RemoveServerRequest, RemoveServerResponse>;
  };

  constructor(servers: ServerKeeper, observer: Observer) {
    this.#servers = servers;
    this.#observer = observer;
    this.handlers = {
      listServers: (_call, callback) => callback(null, { servers: this.#servers.servers().map(toServer) }),
      addServer: this.#change(({ name, address, weight }, by) =>
        this.#servers.add({ name, address, weight: weight || 1 }, by),
      ),
      setServerWeight: this.#change(({ name, weight }, by) => this.#servers.setWeight(name, weight, by)),
      drainServer: this.#change(({ name }, by) => this.#servers.drain(name, by)),
      enableServer: this.#change(({ name }, by) => this.#servers.enable(name, by)),
      removeServer: this.#change(({ name, force }, by) => this.#servers.remove(name, force, by)),
    };
  }

  #change<Request>(
    change: (request: Request, by: string) => Promise<ServerView>,
  ): handleUnaryCall<Request, { server: Server | undefined }> {
    return unaryCall(this.#observer, async (request: Request, by) => ({ server: toServer(await change(request, by)) }));
  }
}

const healthCodes: Record<Health["kind"], ServerHealth> = {
  unknown: ServerHealth.SERVER_HEALTH_UNKNOWN,
  healthy: ServerHealth.SERVER_HEALTH_HEALTHY,
  unhealthy: ServerHealth.SERVER_HEALTH_UNHEALTHY,
};

/** What a server is for new files, as the wire names it. */
export const stateCodes: Record<ServerState["kind"], StateCode> = {
  unknown: StateCode.SERVER_STATE_UNKNOWN,
  unhealthy: StateCode.SERVER_STATE_UNHEALTHY,
  draining: StateCode.SERVER_STATE_DRAINING,
  drained: StateCode.SERVER_STATE_DRAINED,
  "lease-expired": StateCode.SERVER_STATE_LEASE_EXPIRED,
  ejected: StateCode.SERVER_STATE_EJECTED,
  overloaded: StateCode.SERVER_STATE_OVERLOADED,
  busy: StateCode.SERVER_STATE_BUSY,
  full: StateCode.SERVER_STATE_FULL,
  available: StateCode.SERVER_STATE_AVAILABLE,
};

function toServer(view: ServerView): Server {
  const {
    backend,
    state,
    full,
    load,
    storedFiles,
    storedBytes,
    failedAttempts,
    unsettledFiles,
    effectiveWeight,
    leaseUntilMs,
  } = view;
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
    unsettledFiles,
    effectiveWeight,
    leaseUntil: leaseUntilMs === undefined ? undefined : toTimestamp(leaseUntilMs),
  };
}
