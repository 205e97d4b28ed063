import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Server } from "@grpc/grpc-js";
import { WindowShares } from "./window-shares.js";

/** The parts of grpc-js' `Server` that have no public door; `flow-control.test.ts` fails when an upgrade moves them. */
interface ServerInternals {
  commonServerOptions: { settings?: Record<string, number> };
  createHttp2Server(credentials: unknown): Http2Server;
}

/** How wide receive windows are, in bytes. What has arrived and is not read yet lies in memory, up to the window. */
export interface ReceiveWindows {
  /** Of one connection, and of each stream on it, at most. */
  readonly maxBytes: number;
  /** Of all connections together. */
  readonly totalBytes: number;
}

/**
 * Widens a server's HTTP/2 receive windows. grpc-js leaves them at 65,535 bytes, so that an upload gets 64 KiB per round trip (3 MB/s at 20
 * ms), and has an option for the client's side only. To be called before the server is bound.
 *
 * Connections with calls share `totalBytes` among them, so a few get wide windows, and a thousand cannot take the memory; one without calls
 * has HTTP/2's 65,535 bytes, and nobody ever has less.
 */
export function widenReceiveWindows(server: Server, { maxBytes, totalBytes }: ReceiveWindows): void {
  const shares = new WindowShares<ServerHttp2Session>({ maxBytes, totalBytes }, (session, bytes) => {
    if (!session.destroyed) session.setLocalWindowSize(bytes);
  });
  const internals = server as unknown as ServerInternals;
  internals.commonServerOptions.settings = { ...internals.commonServerOptions.settings, initialWindowSize: maxBytes };
  const createHttp2Server = internals.createHttp2Server.bind(server);
  internals.createHttp2Server = (credentials) => {
    const http2Server = createHttp2Server(credentials);
    http2Server.on("session", (session: ServerHttp2Session) => {
      let streamsCount = 0;
      session.on("stream", (stream: ServerHttp2Stream) => {
        if (streamsCount++ === 0) shares.join(session);
        stream.once("close", () => {
          if (--streamsCount === 0) shares.leave(session);
        });
      });
      session.once("close", () => shares.leave(session));
    });
    return http2Server;
  };
}
