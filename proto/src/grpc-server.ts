import { logVerbosity, type Server, ServerCredentials, setLogVerbosity } from "@grpc/grpc-js";
import type { HealthService } from "./health.js";

/** A server could not be started on its address. The message is for people. */
export class ListenError extends Error {}

/**
 * Binds a server.
 *
 * @param address `host:port`; port 0 takes a free one
 * @param credentials how connections are taken. Default: in plain text
 * @returns the address with the real port
 * @throws ListenError, with the address and the reason
 */
export async function listen(
  server: Server,
  address: string,
  credentials = ServerCredentials.createInsecure(),
): Promise<string> {
  // grpc-js writes its own lines to stderr; whoever calls this says the same in better words.
  setLogVerbosity(logVerbosity.NONE);
  try {
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(address, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
    });
    return withPort(address, port);
  } catch (error) {
    throw listenError(address, error);
  }
}

/** An address with the port that was given for its 0. */
export function withPort(address: string, port: number): string {
  return `${address.slice(0, address.lastIndexOf(":"))}:${port}`;
}

/** Says why an address could not be listened on, and where it can be changed. */
export function listenError(address: string, error: unknown, setting?: string): ListenError {
  const words = error instanceof Error ? error.message : String(error);
  const why = words.includes("EADDRINUSE")
    ? "the port is in use by another process"
    : words.includes("EACCES")
      ? "no permission for this port"
      : words;
  const where = setting === undefined ? "" : ` (${setting})`;
  return new ListenError(`cannot listen on ${address}: ${why}${where}`, { cause: error });
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
