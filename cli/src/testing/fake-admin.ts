import { AdminService, type GetStatusResponse, type Server as ServerView } from "@bilancia/proto/gen/admin";
import { listen } from "@bilancia/proto/grpc-server";
import { Server, type UntypedHandleCall } from "@grpc/grpc-js";
import { FakeDeadLetters } from "./fake-dead-letters.js";

/** The balancer's admin service for tests: answers what it was given. */
export async function startFakeAdmin(
  servers: ServerView[],
  status: GetStatusResponse,
  deadLetters = new FakeDeadLetters(),
): Promise<{ readonly address: string; stop(): void }> {
  const server = new Server();
  const handlers: Record<string, UntypedHandleCall> = {
    listServers: ((_call: unknown, done: (error: null, answer: unknown) => void) =>
      done(null, { servers })) as UntypedHandleCall,
    getStatus: ((_call: unknown, done: (error: null, answer: unknown) => void) =>
      done(null, status)) as UntypedHandleCall,
    ...(deadLetters.handlers as Record<string, UntypedHandleCall>),
  };
  server.addService(AdminService, handlers);
  const address = await listen(server, "127.0.0.1:0");
  return { address, stop: () => server.forceShutdown() };
}
