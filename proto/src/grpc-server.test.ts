import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { credentials, Metadata, Server, status } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { ListenError, listen, stopGracefully } from "./grpc-server.js";
import { HealthClient } from "./health.js";
import { StorageClient, storageService } from "./services.js";
import { callUnary } from "./unary.js";

describe("listen", () => {
  it("takes a free port for port 0, and tells which", async () => {
    const server = new Server();
    try {
      assert.match(await listen(server, "127.0.0.1:0"), /^127\.0\.0\.1:[1-9][0-9]*$/);
    } finally {
      server.forceShutdown();
    }
  });

  it("names address and reason when the port is in use", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    const { port } = holder.address() as { port: number };
    const server = new Server();
    try {
      await assert.rejects(listen(server, `127.0.0.1:${port}`), (error) => {
        assert.ok(error instanceof ListenError);
        assert.equal(error.message, `cannot listen on 127.0.0.1:${port}: the port is in use by another process`);
        return true;
      });
    } finally {
      server.forceShutdown();
      holder.close();
    }
  });

  it("names an address that is none of this machine's", async () => {
    const server = new Server();
    try {
      await assert.rejects(listen(server, "192.0.2.1:0"), /^Error: cannot listen on 192\.0\.2\.1:0: /);
    } finally {
      server.forceShutdown();
    }
  });
});

describe("stopGracefully", () => {
  it("cuts a stream that stays open beyond the grace time", async () => {
    const server = new Server();
    server.addService(storageService, { save: () => {} } as never);
    const health = new HealthImplementation({ "": "SERVING" });
    health.addToServer(server);
    const address = await listen(server, "127.0.0.1:0");
    const checker = new HealthClient(address, credentials.createInsecure());
    const client = new StorageClient(address, credentials.createInsecure());
    try {
      const serving = await callUnary(checker.check.bind(checker), { service: "" }, 5_000);
      assert.equal(serving.status, "SERVING");
      const call = client.save(new Metadata());
      call.write({ parts: [{ offset: 0, data: new Uint8Array(1) }] });
      const ended = once(call, "error");
      call.resume();
      await stopGracefully(server, address, health, 50);
      const [error] = await ended.catch((reason: unknown) => [reason]);
      assert.ok([status.UNAVAILABLE, status.CANCELLED, status.INTERNAL].includes(error.code), String(error));
    } finally {
      checker.close();
      client.close();
      server.forceShutdown();
    }
  });
});
