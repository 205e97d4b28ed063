import { AdminClient, type GetStatusResponse, type Server } from "@bilancia/proto/gen/admin";
import { callUnary } from "@bilancia/proto/unary";
import { credentials } from "@grpc/grpc-js";

const timeoutMs = 5_000;

/** The balancer's view of its servers, by name. */
export async function serversByName(adminAddress: string): Promise<Map<string, Server>> {
  const client = new AdminClient(adminAddress, credentials.createInsecure());
  try {
    const { servers } = await callUnary(client.listServers.bind(client), {}, timeoutMs);
    return new Map(servers.map((server) => [server.name, server]));
  } finally {
    client.close();
  }
}

/** The balancer's own state. */
export async function balancerStatus(adminAddress: string): Promise<GetStatusResponse> {
  const client = new AdminClient(adminAddress, credentials.createInsecure());
  try {
    return await callUnary(client.getStatus.bind(client), {}, timeoutMs);
  } finally {
    client.close();
  }
}
