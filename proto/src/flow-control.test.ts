import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import {
  type AddressInfo,
  connect as connectSocket,
  createServer,
  type Server as NetServer,
  type Socket,
} from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { credentials, Server } from "@grpc/grpc-js";
import { serverOptions } from "./channel-options.js";
import { readNothingAhead, widenReceiveWindows } from "./flow-control.js";
import { listen } from "./grpc-server.js";
import { StorageClient, storageService } from "./services.js";

const mebibyte = 1024 * 1024;
const windows = {
  leastBytes: 16_384,
  mostBytes: 4 * mebibyte,
  totalBytes: 32 * mebibyte,
  widestBytes: 8 * mebibyte,
  totalMoreBytes: 32 * mebibyte,
  restingBytes: 65_535,
  restMs: 30_000,
};

/** Runs a test with bare HTTP/2 connections to a server. */
async function withConnections(
  server: Server,
  count: number,
  test: (sessions: ClientHttp2Session[]) => Promise<void>,
): Promise<void> {
  server.addService(storageService, { save: () => {}, load: () => {} } as never);
  const address = await listen(server, "127.0.0.1:0");
  const sessions = Array.from({ length: count }, () => connect(`http://${address}`));
  try {
    await Promise.all(sessions.map((session) => once(session, "remoteSettings")));
    await test(sessions);
  } finally {
    for (const session of sessions) session.destroy();
    server.forceShutdown();
  }
}

/** The window of a connection as its client knows it, once the server has said all that it had to say. */
async function windowOf(session: ClientHttp2Session): Promise<number | undefined> {
  const ping = () =>
    new Promise<void>((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())));
  // The answer to a ping overtakes what was said before it, but not what was said before the ping came.
  await ping();
  await ping();
  return session.state.remoteWindowSize;
}

/** Waits until something holds. */
async function until(holds: () => boolean): Promise<void> {
  for (const endMs = Date.now() + 10_000; !holds(); await delay(2)) assert.ok(Date.now() < endMs, `${holds}`);
}

/** Passes one connection on to a server, and can hold back what the server says. */
class HoldingRelay {
  readonly #listener: NetServer;
  readonly #sockets: Socket[] = [];

  private constructor(host: string, port: number) {
    this.#listener = createServer((near) => {
      const far = connectSocket(port, host);
      for (const socket of [near, far]) socket.on("error", () => {});
      near.pipe(far);
      far.pipe(near);
      this.#sockets.push(far, near);
    });
  }

  static async start(host: string, port: number): Promise<HoldingRelay> {
    const relay = new HoldingRelay(host, port);
    relay.#listener.listen(0, "127.0.0.1");
    await once(relay.#listener, "listening");
    return relay;
  }

  get address(): string {
    return `127.0.0.1:${(this.#listener.address() as AddressInfo).port}`;
  }

  hold(): void {
    const [far, near] = this.#sockets;
    far?.unpipe(near).pause();
  }

  release(): void {
    const [far, near] = this.#sockets;
    if (near) far?.pipe(near);
  }

  close(): void {
    this.#listener.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Passes connections on to a server, each byte late by a time. */
async function slowRelay(address: string, lateMs: number): Promise<{ address: string; close(): void }> {
  const [host = "", port = ""] = address.split(":");
  const sockets: Socket[] = [];
  const pass = (from: Socket, to: Socket) => {
    from.on("error", () => {}).on("data", (data) => setTimeout(() => to.write(data), lateMs));
    sockets.push(from);
  };
  const listener = createServer((near) => {
    const far = connectSocket(Number(port), host);
    pass(near, far);
    pass(far, near);
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return {
    address: `127.0.0.1:${(listener.address() as AddressInfo).port}`,
    close() {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A message of a call, as it goes over the wire. */
function framed(dataBytes: number): Buffer {
  const message = storageService.save.requestSerialize({ parts: [{ offset: 0, data: Buffer.alloc(dataBytes) }] });
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Begins a call that goes on. */
function call(session: ClientHttp2Session, path: string = storageService.save.path): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
  });
  return stream.on("error", () => {});
}

function widened(limits = windows): Server {
  const server = new Server(serverOptions);
  widenReceiveWindows(server, limits, storageService.save.path);
  return server;
}

describe("widenReceiveWindows", () => {
  it("makes the server advertise a wide window for a connection that has an upload, and for each stream on it", () =>
    withConnections(widened(), 2, async ([session, idle]) => {
      assert.ok(session && idle);
      assert.equal(session.remoteSettings.initialWindowSize, windows.leastBytes);
      call(session);
      assert.equal(await windowOf(session), windows.mostBytes);
      assert.equal(session.remoteSettings.initialWindowSize, windows.mostBytes);
      assert.equal(await windowOf(idle), 65_535);
      assert.equal(idle.remoteSettings.initialWindowSize, windows.leastBytes);
    }));

  it("leaves the wide windows to uploads, however many connections have other calls", () =>
    withConnections(widened(), 21, async ([uploader, ...others]) => {
      assert.ok(uploader);
      for (const session of others) call(session, storageService.load.path);
      await Promise.all(others.map(windowOf));
      call(uploader);
      assert.equal(await windowOf(uploader), windows.mostBytes);
      for (const session of others) assert.equal(session.remoteSettings.initialWindowSize, windows.leastBytes);
      const [other] = others;
      assert.ok(other);
      call(other);
      assert.equal(await windowOf(other), windows.mostBytes);
    }));

  it("tells a client that does not answer no more than it has to, however many calls come and go", async () => {
    const server = widened();
    let callsCount = 0;
    server.addService(storageService, {
      save: (call: Duplex) => {
        callsCount += 1;
        call.on("error", () => {}).resume();
      },
    } as never);
    const [host = "", port = ""] = (await listen(server, "127.0.0.1:0")).split(":");
    const relay = await HoldingRelay.start(host, Number(port));
    const session = connect(`http://${relay.address}`);
    try {
      await once(session, "remoteSettings");
      relay.hold();
      // More than the ten that HTTP/2 in Node lets stand without an answer before it gives the connection up.
      for (let count = 1; count <= 20; count++) {
        const stream = call(session);
        await until(() => callsCount === count);
        stream.close(constants.NGHTTP2_CANCEL);
        await delay(5);
      }
      call(session);
      await until(() => callsCount === 21);
      relay.release();
      assert.equal(await windowOf(session), windows.mostBytes);
      assert.equal(session.remoteSettings.initialWindowSize, windows.mostBytes);
    } finally {
      session.destroy();
      relay.close();
      server.forceShutdown();
    }
  });

  it("gives a connection with a long way more, once its sender waits for the window", async () => {
    const narrow = { ...windows, mostBytes: mebibyte / 4, widestBytes: mebibyte };
    const server = widened(narrow);
    server.addService(storageService, {
      save: (call: Duplex) => void call.on("error", () => {}).resume(),
    } as never);
    const relay = await slowRelay(await listen(server, "127.0.0.1:0"), 25);
    const sessions = [connect(`http://${relay.address}`), connect(`http://${relay.address}`)] as const;
    const [busy, quiet] = sessions;
    try {
      await Promise.all(sessions.map((session) => once(session, "remoteSettings")));
      const streams = [call(busy), call(quiet)] as const;
      const windowsNow = () => sessions.map(({ remoteSettings }) => remoteSettings.initialWindowSize);
      await until(() => windowsNow().every((bytes) => bytes === narrow.mostBytes));
      const much = framed(200_000);
      const little = framed(2_000);
      for (const endMs = Date.now() + 10_000; windowsNow()[0] !== narrow.widestBytes; await delay(10)) {
        assert.ok(Date.now() < endMs, `${windowsNow()}`);
        if (!streams[0].writableNeedDrain) streams[0].write(much);
        streams[1].write(little);
      }
      assert.equal(windowsNow()[1], narrow.mostBytes);
    } finally {
      for (const session of sessions) session.destroy();
      relay.close();
      server.forceShutdown();
    }
  });

  it("lets all connections together send no more than there is, though each of them had an upload while it was alone", () =>
    withConnections(widened(), 40, async (sessions) => {
      for (const session of sessions) {
        const upload = call(session);
        await windowOf(session);
        upload.close(constants.NGHTTP2_CANCEL);
        await windowOf(session);
      }
      const bytes = await Promise.all(sessions.map(windowOf));
      const sum = bytes.reduce<number>((total, one = 0) => total + one, 0);
      assert.ok(sum <= windows.totalBytes + 40 * windows.restingBytes, `${sum} can be sent`);
      assert.ok(sum > windows.totalBytes / 2, `${sum} can be sent`);
    }));

  it("closes connections that have had no upload for long when another one finds too little, but none that has a call", () =>
    withConnections(widened({ ...windows, totalBytes: 5 * mebibyte, restMs: 50 }), 3, async (sessions) => {
      const [rests, watches, comes] = sessions as [ClientHttp2Session, ClientHttp2Session, ClientHttp2Session];
      const goneAway: number[] = [];
      rests.on("goaway", (code) => goneAway.push(code));
      call(watches, storageService.load.path);
      for (const session of [watches, rests]) {
        const upload = call(session);
        await windowOf(session);
        upload.close(constants.NGHTTP2_CANCEL);
      }
      const held = await windowOf(watches);
      const had = (await windowOf(rests)) ?? 0;
      assert.ok(had > windows.restingBytes);
      await delay(100);
      call(comes);
      await until(() => rests.closed);
      assert.deepEqual([...new Set(goneAway)], [constants.NGHTTP2_NO_ERROR]);
      await until(() => (comes.remoteSettings.initialWindowSize ?? 0) >= had);
      assert.equal(watches.closed, false);
      assert.equal(await windowOf(watches), held);
    }));

  it("is needed: without it grpc-js leaves HTTP/2's 65,535 bytes", () =>
    withConnections(new Server(serverOptions), 1, async ([session]) => {
      assert.ok(session);
      call(session);
      assert.equal(session.remoteSettings.initialWindowSize, 65_535);
      assert.equal(await windowOf(session), 65_535);
    }));
});

describe("readNothingAhead", () => {
  it("leaves the messages of a call that is paused where they are, and gives all of them when it goes on", async () => {
    const messagesCount = 8;
    const calls: { readonly call: Duplex; readonly isLimited: boolean; received: number }[] = [];
    const server = new Server(serverOptions);
    server.addService(storageService, {
      save: (call: Duplex) => {
        const one = { call, isLimited: calls.length === 0, received: 0 };
        calls.push(one);
        if (one.isLimited) readNothingAhead(call);
        call.on("data", () => {
          one.received += 1;
          call.pause();
        });
      },
    } as never);
    const client = new StorageClient(await listen(server, "127.0.0.1:0"), credentials.createInsecure());
    const until = async (condition: () => boolean) => {
      const untilMs = Date.now() + 10_000;
      while (!condition()) {
        assert.ok(Date.now() < untilMs, JSON.stringify(calls.map(({ received }) => received)));
        await delay(5);
      }
    };
    try {
      for (const count of [1, 2]) {
        const stream = client.save();
        stream.on("error", () => {});
        for (let sent = 0; sent < messagesCount; sent++)
          stream.write({ parts: [{ offset: sent, data: Buffer.alloc(1_000) }] });
        await until(() => calls.length === count);
      }
      const [limited, other] = calls;
      assert.ok(limited && other);
      // Without it they are read ahead: that is how it is known that they have come.
      await until(() => other.call.readableLength === messagesCount - 1);
      assert.deepEqual([limited.received, limited.call.readableLength], [1, 0]);
      await until(() => {
        limited.call.resume();
        return limited.received === messagesCount;
      });
    } finally {
      client.close();
      server.forceShutdown();
    }
  });
});
