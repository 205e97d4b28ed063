import { logVerbosity, type Server, ServerCredentials, setLogVerbosity } from "@grpc/grpc-js";
import type { HealthService } from "./health.js";

/** A server could not be started on its address. The message is for people. */
export class ListenError extends Error {}

/**
 * Binds a server.
 *
 * @param address `host:port`; port 0 takes a free one
 * @returns the address with the real port
 * @throws ListenError, with the address and the reason
 */
export async function listen(server: Server, address: string): Promise<string> {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon);
  // grpc-js writes its own lines to stderr; whoever calls this says the same in better words.
  setLogVerbosity(logVerbosity.NONE);
  try {
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    return `${host}:${port}`;
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const why = words.includes("EADDRINUSE")
      ? "the port is in use by another process"
      : words.includes("EACCES")
        ? "no permission for this port"
        : words;
    throw new ListenError(`cannot listen on ${address}: ${why}`, { cause: error });
  }
}

/**
 * Stops a server in the order that loses nothing: health says NOT_SERVING, no new connections, running calls get
 * `graceMs` to end, what is left is cut.
 *
 * @param address as `listen` returned it
 */
export async function stopGracefully(
  server: Server,
  address: string,
  health: Pick<HealthService, "setStatus"> | undefined,
  graceMs: number,
): Promise<void> {
  health?.setStatus("", "NOT_SERVING");
  // The order matters: `unbind` forgets the port, and `drain` then finds no sessions to cut after the grace time.
  server.drain(address, graceMs);
  server.unbind(address);
  const timer = setTimeout(() => server.forceShutdown(), graceMs);
  await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  clearTimeout(timer);
}
