import { type Server, ServerState, serverHealthToJSON, serverStateToJSON } from "@bilancia/proto/gen/admin";
import { overloadCauseToJSON } from "@bilancia/proto/gen/storage";
import { fromTimestamp } from "@bilancia/proto/time";
import { callUnary } from "@bilancia/proto/unary";
import { humanBytes, humanCount, humanDuration } from "../output/human.js";
import { type Json, jsonNumber, jsonTime } from "../output/json.js";
import type { Style } from "../output/screen.js";
import { type Column, renderTable } from "../output/table.js";
import { askAdmin } from "./admin-request.js";
import { type CommandContext, exitCode } from "./command-context.js";

/** Shows the storage servers as the balancer sees them. Returns the exit code. @throws UnreachableError, BalancerError */
export async function servers(context: CommandContext): Promise<number> {
  const { screen, json } = context;
  const answer = await askAdmin(context, (client, timeoutMs) =>
    callUnary(client.listServers.bind(client), {}, timeoutMs),
  );
  if (json) for (const server of answer.servers) await screen.print(JSON.stringify(serverJson(server)));
  else if (answer.servers.length === 0) await screen.print("the balancer has no storage servers");
  else await screen.print(renderTable(serverColumns(Date.now()), answer.servers, screen));
  return exitCode.ok;
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
  return state === ServerState.SERVER_STATE_UNHEALTHY || state === ServerState.SERVER_STATE_EJECTED ? "red" : "yellow";
}

function overloadText({ overloaded, load }: Server): string {
  if (!overloaded) return "no";
  const causes = (load?.causes ?? []).map((cause) =>
    overloadCauseToJSON(cause).replace("OVERLOAD_CAUSE_", "").toLowerCase().replaceAll("_", " "),
  );
  return causes.length > 0 ? `yes: ${causes.join(", ")}` : "yes";
}

function serverJson(server: Server): Json {
  return {
    name: server.name,
    address: server.address,
    weight: server.weight,
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
  };
}
