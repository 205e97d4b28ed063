import { channelOptions } from "@bilancia/proto/channel-options";
import { AdminClient } from "@bilancia/proto/gen/admin";
import { credentials } from "@grpc/grpc-js";
import { fromServiceError } from "../client/service-error.js";
import type { CommandContext } from "./command-context.js";

/** Asks the balancer's admin service one question. @throws UnreachableError, BalancerError */
export async function askAdmin<Answer>(
  context: CommandContext,
  ask: (client: AdminClient, timeoutMs: number) => Promise<Answer>,
): Promise<Answer> {
  const client = new AdminClient(context.admin, credentials.createInsecure(), channelOptions);
  try {
    return await ask(client, context.connectTimeoutMs);
  } catch (error) {
    throw fromServiceError(error, context.admin, "the balancer's admin service");
  } finally {
    client.close();
  }
}
