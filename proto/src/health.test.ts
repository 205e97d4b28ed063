import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { type ClientReadableStream, credentials, Server, type ServiceError, status } from "@grpc/grpc-js";
import { listen } from "./grpc-server.js";
import { type HealthCheckResponse, HealthClient, HealthService } from "./health.js";
import { callUnary } from "./unary.js";

describe("the health service", () => {
  let health: HealthService;
  let server: Server;
  let client: HealthClient;

  beforeEach(async () => {
    health = new HealthService(["", "a.Service"]);
    server = new Server();
    health.addToServer(server);
    client = new HealthClient(await listen(server, "127.0.0.1:0"), credentials.createInsecure());
  });
  afterEach(() => {
    client.close();
    server.forceShutdown();
  });

  const check = (service: string) => callUnary(client.check.bind(client), { service }, 5_000);
  /** A watch, and what it says next. */
  function watch(service: string): { call: ClientReadableStream<HealthCheckResponse>; next(): Promise<string> } {
    const call = client.watch({ service });
    call.on("error", () => {});
    return { call, next: async () => ((await once(call, "data")) as [HealthCheckResponse])[0].status };
  }

  it("says what serves, and that it knows nothing of other services", async () => {
    assert.deepEqual(await check(""), { status: "SERVING" });
    health.setStatus("a.Service", "NOT_SERVING");
    assert.deepEqual(await check("a.Service"), { status: "NOT_SERVING" });
    await assert.rejects(check("b.Service"), { code: status.NOT_FOUND, details: 'no service is "b.Service"' });
    const { statuses } = await callUnary(listOf(client), {}, 5_000);
    assert.deepEqual(Object.keys(statuses).sort(), ["", "a.Service"]);
  });

  it("tells whoever watches of every change, and forgets what was watched with the last watch", async () => {
    const watches = [watch("a.Service"), watch("a.Service"), watch("b.Service")];
    assert.deepEqual(await Promise.all(watches.map((one) => one.next())), ["SERVING", "SERVING", "SERVICE_UNKNOWN"]);
    assert.equal(health.watchedCount, 2);
    const changed = Promise.all(watches.map((one) => one.next()));
    health.setStatus("a.Service", "NOT_SERVING");
    health.setStatus("b.Service", "SERVING");
    assert.deepEqual(await changed, ["NOT_SERVING", "NOT_SERVING", "SERVING"]);
    for (const { call } of watches.slice(1)) call.cancel();
    while (health.watchedCount > 1) await delay(5);
    watches[0]?.call.cancel();
    while (health.watchedCount > 0) await delay(5);
  });

  it("answers at once who asks for a name that is too long to be one", async () => {
    const service = "x".repeat(900_000);
    const refused = ({ code, details }: ServiceError) => {
      assert.deepEqual([code, details], [status.NOT_FOUND, "no service has a name of 900000 characters"]);
      return true;
    };
    await assert.rejects(check(service), refused);
    await assert.rejects(watch(service).next(), refused);
    assert.equal(health.watchedCount, 0);
  });
});

interface HealthList {
  list: Parameters<typeof callUnary<object, { statuses: Record<string, HealthCheckResponse> }>>[0];
}

/** `List`, which our own programs do not call. */
function listOf(client: HealthClient): HealthList["list"] {
  return (client as unknown as HealthList).list.bind(client);
}
