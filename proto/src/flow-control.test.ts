import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { Server } from "@grpc/grpc-js";
import { serverOptions } from "./channel-options.js";
import { widenReceiveWindows } from "./flow-control.js";
import { listen } from "./grpc-server.js";
import { storageService } from "./services.js";

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
