import { callUnary } from "@bilancia/proto/unary";
import { serverJson, serverTable } from "../output/server-report.js";
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
  else await screen.print(serverTable(answer.servers, screen));
  return exitCode.ok;
}
