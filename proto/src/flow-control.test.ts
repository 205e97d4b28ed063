import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { credentials, Server } from "@grpc/grpc-js";
import { serverOptions } from "./channel-options.js";
import { letGoOfLastMessage, readNothingAhead, widenReceiveWindows } from "./flow-control.js";
import { listen } from "./grpc-server.js";
import { StorageClient, storageService } from "./services.js";

const mebibyte = 1024 * 1024;
const windows = { leastBytes: 16_384, mostBytes: 4 * mebibyte, totalBytes: 32 * mebibyte };

/** Runs a test with bare HTTP/2 connections to a server. */
async function withConnections(
  server: Server,
  count: number,
  test: (sessions: ClientHttp2Session[]) => Promise<void>,
): Promise<void> {
  server.addService(storageService, { save: () => {} } as never);
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

/** Begins a call that goes on. */
function call(session: ClientHttp2Session): void {
  session.request({
    ":method": "POST",
    ":path": storageService.save.path,
    "content-type": "application/grpc",
    te: "trailers",
  });
}

function widened(): Server {
  const server = new Server(serverOptions);
  widenReceiveWindows(server, windows);
  return server;
}

describe("widenReceiveWindows", () => {
  it("makes the server advertise a wide window for a connection that has a call, and for each stream on it", () =>
    withConnections(widened(), 2, async ([session, idle]) => {
      assert.ok(session && idle);
      assert.equal(session.remoteSettings.initialWindowSize, windows.leastBytes);
      call(session);
      assert.equal(await windowOf(session), windows.mostBytes);
      assert.equal(session.remoteSettings.initialWindowSize, windows.mostBytes);
      assert.equal(await windowOf(idle), 65_535);
      assert.equal(idle.remoteSettings.initialWindowSize, windows.leastBytes);
    }));

  it("is needed: without it grpc-js leaves HTTP/2's 65,535 bytes", () =>
    withConnections(new Server(serverOptions), 1, async ([session]) => {
      assert.ok(session);
      call(session);
      assert.equal(session.remoteSettings.initialWindowSize, 65_535);
      assert.equal(await windowOf(session), 65_535);
    }));
});

describe("letGoOfLastMessage", () => {
  it("frees what grpc-js keeps of a message until the next one begins", async () => {
    const kept: number[] = [];
    const keptBy = (call: Duplex) => {
      const { decoder } = (call as unknown as { call: { decoder: { readPartialMessage: Buffer[] } } }).call;
      return decoder.readPartialMessage.reduce((sum, { length }) => sum + length, 0);
    };
    const server = new Server(serverOptions);
    server.addService(storageService, {
      save: (call: Duplex) => {
        call.on("data", () => {
          kept.push(keptBy(call));
          letGoOfLastMessage(call);
          kept.push(keptBy(call));
        });
        call.on("end", () => call.end());
      },
    } as never);
    const client = new StorageClient(await listen(server, "127.0.0.1:0"), credentials.createInsecure());
    try {
      const stream = client.save();
      const ended = new Promise((resolve) => stream.resume().once("end", resolve));
      for (let sent = 0; sent < 3; sent++) stream.write({ parts: [{ offset: 0, data: Buffer.alloc(100_000) }] });
      stream.end();
      await ended;
      assert.equal(kept.length, 6);
      // Where the next message has begun already there is less to let go of, but never more left than of one.
      assert.ok(kept.some((bytes) => bytes > 100_000));
      assert.equal(kept.at(-1), 0);
    } finally {
      client.close();
      server.forceShutdown();
    }
  });
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
