import assert from "node:assert/strict";
import { RegistryClient, RegistryService as RegistryDefinition, type RenewRequest } from "@bilancia/proto/gen/registry";
import { listen } from "@bilancia/proto/grpc-server";
import { callUnary } from "@bilancia/proto/unary";
import { credentials, Server, type ServiceError, status } from "@grpc/grpc-js";
import { BilanciaError } from "../domain/errors.js";
import { unaryCall } from "./unary-call.js";

describe("a unary call that is refused", () => {
  let server: Server;
  let client: RegistryClient;

  before(async () => {
    server = new Server();
    const renew = unaryCall({ note: () => {} }, ({ server }: RenewRequest) => {
      throw new BilanciaError("INVALID_HEADER", `came ${JSON.stringify(server).slice(0, 80)}`);
    });
    server.addService(RegistryDefinition, { renew });
    client = new RegistryClient(await listen(server, "127.0.0.1:0"), credentials.createInsecure());
  });
  after(() => {
    client.close();
    server.forceShutdown();
  });

  it("is answered where its words are cut within a character", async () => {
    for (const start of ["a".repeat(78), "a".repeat(79)]) {
      const request = { server: `${start}😀tail`, instanceId: "" };
      const refused = callUnary(client.renew.bind(client), request, 5_000);
      await assert.rejects(refused, ({ code, details }: ServiceError) => {
        assert.equal(code, status.INVALID_ARGUMENT);
        assert.match(details, /^INVALID_HEADER: came "aaa/);
        return true;
      });
    }
  });
});
