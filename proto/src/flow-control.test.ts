import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { Server } from "@grpc/grpc-js";
import { flowControlWindowBytes, serverOptions } from "./channel-options.js";
import { widenReceiveWindow } from "./flow-control.js";
import { listen } from "./grpc-server.js";

/** What a server says to a bare HTTP/2 client: the window of a stream, and that of the connection. */
async function advertised(
  widen: boolean,
): Promise<{ streamBytes: number | undefined; connectionBytes: number | undefined }> {
  const server = new Server(serverOptions);
  if (widen) widenReceiveWindow(server, flowControlWindowBytes);
  const address = await listen(server, "127.0.0.1:0");
  const session = connect(`http://${address}`);
  try {
    await once(session, "remoteSettings");
    // The connection's window comes in a frame of its own; the answer to a ping comes after it.
    await new Promise<void>((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())));
    return {
      streamBytes: session.remoteSettings.initialWindowSize,
      connectionBytes: session.state.remoteWindowSize,
    };
  } finally {
    session.destroy();
    server.forceShutdown();
  }
}

describe("widenReceiveWindow", () => {
  it("makes the server advertise the wide window for each stream and for the connection", async () => {
    assert.deepEqual(await advertised(true), {
      streamBytes: flowControlWindowBytes,
      connectionBytes: flowControlWindowBytes,
    });
  });

  it("is needed: without it grpc-js leaves HTTP/2's 65,535 bytes", async () => {
    assert.deepEqual(await advertised(false), { streamBytes: 65_535, connectionBytes: 65_535 });
  });
});
