import { type Server, ServerState, serverHealthToJSON, serverStateToJSON } from "@bilancia/proto/gen/admin";
import { overloadCauseToJSON } from "@bilancia/proto/gen/storage";
import { fromTimestamp } from "@bilancia/proto/time";
import { humanBytes, humanCount, humanDuration } from "./human.js";
import { type Json, jsonNumber, jsonTime } from "./json.js";
import type { Screen, Style } from "./screen.js";
import { type Column, renderTable } from "./table.js";

/** Servers, a line each, for people. */
export function serverTable(servers: readonly Server[], screen: Screen): string {
  return renderTable(serverColumns(Date.now()), servers, screen);
}

function serverColumns(nowMs: number): readonly Column<Server>[] {
  return [
    { title: "server", text: ({ name }) => name, minWidth: 16 },
    { title: "address", text: ({ address }) => address, minWidth: 21, dropOrder: 4 },
    { title: "weight", align: "right", text: ({ weight }) => String(weight), dropOrder: 3 },
    { title: "state", text: stateName, style: stateStyle },
    {
      title: "for",
      align: "right",
      text: ({ stateSince }) => (stateSince ? humanDuration(Math.max(0, nowMs - fromTimestamp(stateSince))) : "-"),
      dropOrder: 5,
    },
    { title: "overloaded", text: overloadText, dropOrder: 7 },
    { title: "in flight", align: "right", text: ({ inFlightFiles }) => humanCount(inFlightFiles), dropOrder: 2 },
    { title: "stored", align: "right", text: ({ storedFiles }) => humanCount(storedFiles) },
    { title: "bytes", align: "right", text: ({ storedBytes }) => humanBytes(storedBytes), dropOrder: 6 },
    { title: "failed", align: "right", text: ({ failedAttempts }) => humanCount(failedAttempts), dropOrder: 8 },
    { title: "why", text: ({ stateReason }) => stateReason || "-", minWidth: 10, dropOrder: 1 },
  ];
}

function stateName({ state }: Server): string {
  return serverStateToJSON(state).replace("SERVER_STATE_", "").toLowerCase();
}

function stateStyle({ state }: Server): Style {
  if (state === ServerState.SERVER_STATE_AVAILABLE) return "green";
  return redStates.has(state) ? "red" : "yellow";
}

const redStates: ReadonlySet<ServerState> = new Set([
  ServerState.SERVER_STATE_UNHEALTHY,
  ServerState.SERVER_STATE_EJECTED,
  ServerState.SERVER_STATE_LEASE_EXPIRED,
]);

function overloadText({ overloaded, load }: Server): string {
  if (!overloaded) return "no";
  const causes = (load?.causes ?? []).map((cause) =>
    overloadCauseToJSON(cause).replace("OVERLOAD_CAUSE_", "").toLowerCase().replaceAll("_", " "),
  );
  return causes.length > 0 ? `yes: ${causes.join(", ")}` : "yes";
}

/** One server, for programs. */
export function serverJson(server: Server): Record<string, Json> {
  return {
    name: server.name,
    address: server.address,
    weight: server.weight,
    effectiveWeight: server.effectiveWeight,
    state: stateName(server),
    stateSince: jsonTime(server.stateSince),
    stateReason: server.stateReason,
    available: server.available,
    health: serverHealthToJSON(server.health).replace("SERVER_HEALTH_", "").toLowerCase(),
    healthSince: jsonTime(server.healthSince),
    healthReason: server.healthReason,
    overloaded: server.overloaded,
    overloadCauses: (server.load?.causes ?? []).map((cause) =>
      overloadCauseToJSON(cause).replace("OVERLOAD_CAUSE_", ""),
    ),
    full: server.full,
    inFlightFiles: server.inFlightFiles,
    inFlightBytes: jsonNumber(server.inFlightBytes),
    storedFiles: jsonNumber(server.storedFiles),
    storedBytes: jsonNumber(server.storedBytes),
    failedAttempts: jsonNumber(server.failedAttempts),
    unsettledFiles: server.unsettledFiles,
    leaseUntil: jsonTime(server.leaseUntil),
  };
}
