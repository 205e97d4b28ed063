import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Readable } from "node:stream";
import type { Server } from "@grpc/grpc-js";
import { type ShareLimits, WindowShares } from "./window-shares.js";

/** The window that HTTP/2 gives each connection, and that it cannot be given less of at first. */
const leastConnectionBytes = 65_535;

/** The parts of grpc-js' `Server` that have no public door; `flow-control.test.ts` fails when an upgrade moves them. */
interface ServerInternals {
  commonServerOptions: { settings?: Record<string, number> };
  createHttp2Server(credentials: unknown): Http2Server;
}

/**
 * The receive window of one connection, and of each stream on it. What is told to the other side stays unanswered for as long as that likes, and
 * Node gives up a connection with more than ten such settings: so there is one at a time, and what was wanted meanwhile follows its answer.
 */
class ReceiveWindow {
  readonly #session: ServerHttp2Session;
  #wantedBytes = 0;
  #isUnanswered = false;

  constructor(session: ServerHttp2Session) {
    this.#session = session;
  }

  set(bytes: number): void {
    this.#wantedBytes = bytes;
    if (!this.#isUnanswered) this.#tell();
  }

  #tell(): void {
    const session = this.#session;
    if (session.destroyed || session.closed) return;
    const bytes = this.#wantedBytes;
    session.setLocalWindowSize(Math.max(bytes, leastConnectionBytes));
    this.#isUnanswered = true;
    session.settings({ initialWindowSize: bytes }, () => {
      this.#isUnanswered = false;
      if (this.#wantedBytes !== bytes) this.#tell();
    });
  }
}

/**
 * Widens a server's HTTP/2 receive windows. grpc-js leaves them at 65,535 bytes, so that an upload gets 64 KiB per round trip (3 MB/s at 20
 * ms), and has an option for the client's side only. To be called before the server is bound.
 *
 * What has arrived and is not read yet lies in memory, up to the window. So the connections that have calls share an amount of bytes: few get
 * wide windows, and a thousand cannot take the memory. The window of a connection is also that of each stream on it.
 */
export function widenReceiveWindows(server: Server, limits: ShareLimits): void {
  const shares = new WindowShares<ReceiveWindow>(limits, (window, bytes) => window.set(bytes));
  const internals = server as unknown as ServerInternals;
  const { settings } = internals.commonServerOptions;
  internals.commonServerOptions.settings = { ...settings, initialWindowSize: limits.leastBytes };
  const createHttp2Server = internals.createHttp2Server.bind(server);
  internals.createHttp2Server = (credentials) => {
    const http2Server = createHttp2Server(credentials);
    http2Server.on("session", (session: ServerHttp2Session) => {
      const window = new ReceiveWindow(session);
      let streamsCount = 0;
      session.on("stream", (stream: ServerHttp2Stream) => {
        if (streamsCount++ === 0) shares.join(window);
        stream.once("close", () => {
          if (--streamsCount === 0) shares.leave(window);
        });
      });
      session.once("close", () => shares.leave(window));
    });
    return http2Server;
  };
}

/** The part of Node's `Readable` that has no public door after it has been made; `flow-control.test.ts` fails when an upgrade moves it. */
interface ReadableInternals {
  _readableState: { highWaterMark: number };
}

/**
 * Makes a call read nothing ahead of whoever listens to it. grpc-js leaves Node's 16 for streams of objects: of each client that has to wait, 16
 * messages would be in memory, besides its receive window.
 */
export function readNothingAhead(call: Readable): void {
  const { _readableState } = call as unknown as ReadableInternals;
  _readableState.highWaterMark = 0;
}
