import { setTimeout as delay } from "node:timers/promises";
import { type AdminClient, type Server, ServerState } from "@bilancia/proto/gen/admin";
import { callUnary } from "@bilancia/proto/unary";
import { counted } from "../output/human.js";
import { serverJson, serverTable } from "../output/server-report.js";
import { askAdmin } from "./admin-request.js";
import { type CommandContext, exitCode } from "./command-context.js";

/** How often a server is looked at that drains, in milliseconds. */
const lookAgainMs = 200;

/** Adds a storage server. Returns the exit code. @throws UnreachableError, BalancerError */
export function addServer(
  server: { readonly name: string; readonly address: string; readonly weight: number },
  context: CommandContext,
): Promise<number> {
  return change(context, "added", (client, timeoutMs) => callUnary(client.addServer.bind(client), server, timeoutMs));
}

/** Gives a storage server another weight. Returns the exit code. @throws UnreachableError, BalancerError */
export function setServerWeight(name: string, weight: number, context: CommandContext): Promise<number> {
  return change(context, "changed", (client, timeoutMs) =>
    callUnary(client.setServerWeight.bind(client), { name, weight }, timeoutMs),
  );
}

/** Gives a storage server files again. Returns the exit code. @throws UnreachableError, BalancerError */
export function enableServer(name: string, context: CommandContext): Promise<number> {
  return change(context, "enabled", (client, timeoutMs) =>
    callUnary(client.enableServer.bind(client), { name }, timeoutMs),
  );
}

/** Takes a storage server out. Returns the exit code. @throws UnreachableError, BalancerError */
export function removeServer(name: string, force: boolean, context: CommandContext): Promise<number> {
  return change(context, "removed", (client, timeoutMs) =>
    callUnary(client.removeServer.bind(client), { name, force }, timeoutMs),
  );
}

/**
 * Gives a storage server nothing new, and waits until nothing is on its way to it any more, if so wanted. Returns the exit code: 1 when
 * somebody enabled or removed the server meanwhile, or the wait was interrupted.
 *
 * @throws UnreachableError, BalancerError
 */
export async function drainServer(
  name: string,
  wait: boolean,
  context: CommandContext,
  signal: AbortSignal,
): Promise<number> {
  const { screen } = context;
  return askAdmin(context, async (client, timeoutMs) => {
    let { server } = await callUnary(client.drainServer.bind(client), { name }, timeoutMs);
    if (wait && server?.state === ServerState.SERVER_STATE_DRAINING) {
      screen.remark(`${name} gets nothing new; ${counted(server.inFlightFiles, "file")} on the way to it`);
    }
    while (wait && server?.state === ServerState.SERVER_STATE_DRAINING && !signal.aborted) {
      await delay(lookAgainMs, undefined, { signal }).catch(() => undefined);
      const { servers } = await callUnary(client.listServers.bind(client), {}, timeoutMs);
      server = servers.find((candidate) => candidate.name === name);
    }
    if (!server) screen.remark(`${name} has been removed meanwhile`);
    const drained = server?.state === ServerState.SERVER_STATE_DRAINED;
    await report(server, drained ? "drained" : "draining", context);
    return drained || !wait ? exitCode.ok : exitCode.failed;
  });
}

async function change(
  context: CommandContext,
  done: string,
  ask: (client: AdminClient, timeoutMs: number) => Promise<{ readonly server?: Server | undefined }>,
): Promise<number> {
  const { server } = await askAdmin(context, ask);
  await report(server, done, context);
  return exitCode.ok;
}

/** Tells what was done, and how the server is now. */
async function report(server: Server | undefined, done: string, { screen, json }: CommandContext): Promise<void> {
  if (!server) return;
  if (json) await screen.print(JSON.stringify({ result: done, ...serverJson(server) }));
  else await screen.print(`${done}\n${serverTable([server], screen)}`);
}
