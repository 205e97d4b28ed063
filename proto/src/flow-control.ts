import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Readable } from "node:stream";
import type { Server } from "@grpc/grpc-js";
import { leastConnectionBytes } from "./channel-options.js";
import { type ShareLimits, WindowShares } from "./window-shares.js";

/** The parts of grpc-js' `Server` that have no public door; `flow-control.test.ts` fails when an upgrade moves them. */
interface ServerInternals {
  commonServerOptions: { settings?: Record<string, number> };
  createHttp2Server(credentials: unknown): Http2Server;
}

/** From which round trip on, in milliseconds, it is looked whether the window is wide enough. */
const longRoundTripMs = 4;
/** How often that is looked at, in milliseconds. */
const lookEveryMs = 100;
/** Node gives a window back when half of it is used up: who gets nearly half of it through in a round trip waits for it. */
const heldUpPart = 0.4;

/**
 * The receive window of one connection, and of each stream on it. What is told to the other side stays unanswered for as long as that likes, and
 * Node gives up a connection with more than ten such settings: so there is one at a time, and what was wanted meanwhile follows its answer.
 */
class ReceiveWindow {
  readonly #session: ServerHttp2Session;
  #wantedBytes = 0;
  #callsCount = 0;
  #isUnanswered = false;
  /** The shortest that was seen: what is longer was spent elsewhere than on the way. */
  #roundTripMs = Number.POSITIVE_INFINITY;
  #lastLook = { ms: 0, bytesRead: 0 };
  readonly #onAnswered: () => void;

  constructor(session: ServerHttp2Session, onAnswered: () => void) {
    this.#session = session;
    this.#onAnswered = onAnswered;
    session.on("stream", (stream) => {
      this.#callsCount += 1;
      stream.once("close", () => {
        this.#callsCount -= 1;
      });
    });
  }

  get isFar(): boolean {
    return this.#roundTripMs >= longRoundTripMs && this.#roundTripMs < Number.POSITIVE_INFINITY;
  }

  /** Whether in the time since the last look the window, and not the link, was what its sender waited for. */
  holdsUp(): boolean {
    // Without its socket it cannot be asked for anything.
    if (this.#session.destroyed) return false;
    const { bytesRead } = this.#session.socket;
    const last = this.#lastLook;
    this.#lastLook = { ms: performance.now(), bytesRead };
    if (this.#isUnanswered || !this.isFar) return false;
    const roundTrips = (this.#lastLook.ms - last.ms) / this.#roundTripMs;
    return bytesRead - last.bytesRead >= this.#wantedBytes * heldUpPart * roundTrips;
  }

  /** Ends the connection if it has no call. Returns whether it ends; what it was given, it has until it has ended. */
  dismiss(): boolean {
    if (this.#callsCount === 0 && !this.#session.closed) this.#session.close();
    return this.#session.closed;
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
    const toldMs = performance.now();
    // The duration that Node gives its callback is none: it counts from no beginning (20.20).
    session.settings({ initialWindowSize: bytes }, () => {
      this.#isUnanswered = false;
      this.#roundTripMs = Math.min(this.#roundTripMs, performance.now() - toldMs);
      if (this.#wantedBytes !== bytes) this.#tell();
      this.#onAnswered();
    });
  }
}

/** Looks after connections with a long way, as long as there are any: a window that holds its sender up is to grow. */
class LongWays {
  readonly #windows = new Set<ReceiveWindow>();
  readonly #grow: (window: ReceiveWindow) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(grow: (window: ReceiveWindow) => void) {
    this.#grow = grow;
  }

  watch(window: ReceiveWindow): void {
    this.#windows.add(window);
    this.#timer ??= setInterval(() => this.#look(), lookEveryMs).unref();
  }

  forget(window: ReceiveWindow): void {
    this.#windows.delete(window);
    if (this.#windows.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    for (const window of this.#windows) if (window.holdsUp()) this.#grow(window);
  }
}

/**
 * Widens a server's HTTP/2 receive windows. grpc-js leaves them at 65,535 bytes, so that an upload gets 64 KiB per round trip (3 MB/s at 20
 * ms), and has an option for the client's side only. To be called before the server is bound.
 *
 * What has arrived and is not read yet lies in memory, up to the window. So the connections that have uploads share an amount of bytes: few get
 * wide windows, and a thousand cannot take the memory. Other calls need no more than the least, however long they stay open. Of a second amount a
 * connection gets more whose round trip is so long that its sender waits for the window. The window of a connection is also that of each stream on it.
 * A sender may use what it was told of at any time, so a connection holds it until it ends: one without calls is closed when others have use for that.
 *
 * @param uploadPath path of the rpc that carries uploads
 */
export function widenReceiveWindows(server: Server, limits: ShareLimits, uploadPath: string): void {
  const shares = new WindowShares<ReceiveWindow>(limits, {
    give: (window, bytes) => window.set(bytes),
    dismiss: (window) => window.dismiss(),
  });
  const longWays = new LongWays((window) => shares.grow(window));
  const internals = server as unknown as ServerInternals;
  const { settings } = internals.commonServerOptions;
  internals.commonServerOptions.settings = { ...settings, initialWindowSize: limits.leastBytes };
  const createHttp2Server = internals.createHttp2Server.bind(server);
  internals.createHttp2Server = (credentials) => {
    const http2Server = createHttp2Server(credentials);
    http2Server.on("session", (session: ServerHttp2Session) => {
      let uploadsCount = 0;
      const watchIfFar = () => {
        if (uploadsCount > 0 && window.isFar && !session.destroyed) longWays.watch(window);
      };
      const window = new ReceiveWindow(session, watchIfFar);
      session.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
        if (headers[":path"] !== uploadPath) return;
        if (uploadsCount++ === 0) shares.join(window);
        watchIfFar();
        stream.once("close", () => {
          if (--uploadsCount > 0) return;
          longWays.forget(window);
          shares.rest(window);
        });
      });
      session.once("close", () => {
        longWays.forget(window);
        shares.leave(window);
      });
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
