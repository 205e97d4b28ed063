import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Server } from "@grpc/grpc-js";

/** The parts of grpc-js' `Server` that have no public door; `flow-control.test.ts` fails when an upgrade moves them. */
interface ServerInternals {
  commonServerOptions: { settings?: Record<string, number> };
  createHttp2Server(credentials: unknown): Http2Server;
}

/**
 * Widens a server's HTTP/2 receive windows. grpc-js leaves them at 65,535 bytes, so that an upload gets 64 KiB per round trip (3 MB/s at 20
 * ms), and has an option for the client's side only. To be called before the server is bound.
 *
 * @param windowBytes window of each stream, and of the connection
 */
export function widenReceiveWindow(server: Server, windowBytes: number): void {
  const internals = server as unknown as ServerInternals;
  internals.commonServerOptions.settings = {
    ...internals.commonServerOptions.settings,
    initialWindowSize: windowBytes,
  };
  const createHttp2Server = internals.createHttp2Server.bind(server);
  internals.createHttp2Server = (credentials) => {
    const http2Server = createHttp2Server(credentials);
    http2Server.on("session", (session: ServerHttp2Session) => session.setLocalWindowSize(windowBytes));
    return http2Server;
  };
}
