import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import { connectionWords } from "./connection-words.js";
import { StorageClient } from "./services.js";
import { callUnary } from "./unary.js";

/** What grpc-js says of a call to this address. */
async function detailsFor(address: string): Promise<string> {
  const client = new StorageClient(address, credentials.createInsecure());
  try {
    await callUnary(client.load.bind(client), {}, 5_000);
  } catch (error) {
    assert.equal((error as ServiceError).code, status.UNAVAILABLE);
    return (error as ServiceError).details;
  } finally {
    client.close();
  }
  return assert.fail("expected no connection");
}

describe("connectionWords", () => {
  it("says of a web server that it does not speak gRPC, and nothing of grpc-js' own", async () => {
    const web = createServer((_request, response) => response.end());
    await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
    try {
      const address = `127.0.0.1:${(web.address() as AddressInfo).port}`;
      assert.equal(connectionWords(await detailsFor(address)), "what listens there does not speak gRPC");
    } finally {
      web.close();
      web.closeAllConnections();
    }
  });

  it("says that a connection is refused, and no more", async () => {
    assert.equal(connectionWords(await detailsFor("127.0.0.1:1")), "connect ECONNREFUSED 127.0.0.1:1");
  });

  it("leaves other words as they are", () => {
    assert.equal(connectionWords("the queue is full (Last error: none)"), "the queue is full (Last error: none)");
  });
});
