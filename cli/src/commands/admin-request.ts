import { channelOptions } from "@bilancia/proto/channel-options";
import { AdminClient } from "@bilancia/proto/gen/admin";
import { fromServiceError } from "../client/service-error.js";
import type { CommandContext } from "./command-context.js";
import { credentialsOf } from "./credentials.js";

/** Asks the balancer's admin service one question. @throws UnreachableError, BalancerError */
export async function askAdmin<Answer>(
  context: CommandContext,
  ask: (client: AdminClient, timeoutMs: number) => Promise<Answer>,
): Promise<Answer> {
  const client = new AdminClient(context.admin, credentialsOf(context), channelOptions);
  try {
    return await ask(client, context.connectTimeoutMs);
  } catch (error) {
    throw fromServiceError(error, context.admin, "the balancer's admin service");
  } finally {
    client.close();
  }
}
