import { setImmediate as nextTurn } from "node:timers/promises";
import { serverOptions } from "@bilancia/proto/channel-options";
import type { QueryUploadRequest, QueryUploadResponse } from "@bilancia/proto/gen/balancer";
import { listen } from "@bilancia/proto/grpc-server";
import { addReflection } from "@bilancia/proto/reflection";
import { balancerService } from "@bilancia/proto/services";
import { Server, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import type { BalancerFault } from "./balancer-faults.js";
import { Rejected } from "./faulty-rules.js";
import { FaultyUploadStream, type UploadCall } from "./faulty-upload-stream.js";
import { FaultyUploads } from "./faulty-uploads.js";

/**
 * A balancer in memory, without storage servers, that keeps to the contract, except for one fault where it is given one. What it holds outlives `restart`,
 * which cuts all connections. Whoever starts it stops it.
 */
export class FaultyBalancer {
  readonly #fault: BalancerFault | undefined;
  readonly #calls = new Set<UploadCall>();
  readonly #uploads: FaultyUploads;
  #server: Server | undefined;
  #address = "127.0.0.1:0";

  private constructor(fault: BalancerFault | undefined) {
    this.#fault = fault;
    this.#uploads = new FaultyUploads(fault);
  }

  static async start(fault?: BalancerFault): Promise<FaultyBalancer> {
    const balancer = new FaultyBalancer(fault);
    await balancer.#serve();
    return balancer;
  }

  /** `host:port`; the same one after a restart. */
  get address(): string {
    return this.#address;
  }

  /** How many files are neither stored nor given up. */
  get waitingCount(): number {
    return this.#uploads.waitingCount;
  }

  async restart(): Promise<void> {
    // With forceShutdown alone, the stream of a client in the same process was seen to stay open.
    for (const call of this.#calls) call.emit("error", { code: status.UNAVAILABLE, details: "restart" });
    await nextTurn();
    this.stop();
    this.#uploads.restarted();
    await this.#serve();
  }

  stop(): void {
    this.#server?.forceShutdown();
  }

  async #serve(): Promise<void> {
    const isUnlimited = this.#has("takes messages of any length");
    const server = new Server({ ...serverOptions, ...(isUnlimited && { "grpc.max_receive_message_length": -1 }) });
    server.addService(balancerService, {
      uploadFile: (call: UploadCall) => this.#upload(call),
      queryUpload: this.#unary<QueryUploadResponse>(({ key }) => this.#uploads.query(key)),
      cancelUpload: this.#unary<object>(({ key }) => {
        this.#uploads.cancel(key);
        return {};
      }),
    });
    const health = new HealthImplementation({
      "": this.#has("is never serving") ? "NOT_SERVING" : "SERVING",
      ...(this.#has("knows services that it has not got") && { "no.such.Service": "SERVING" }),
    });
    health.addToServer(server);
    addReflection(server, [this.#has("lists another service") ? "bilancia.v1.Storage" : "bilancia.v1.Balancer"]);
    this.#server = server;
    this.#address = await listen(server, this.#address);
  }

  #upload(call: UploadCall): void {
    const begin = () => new FaultyUploadStream(call, this.#uploads, this.#fault);
    const [before] = this.#calls;
    if (before && this.#has("serves one stream at a time")) before.once("close", begin);
    else begin();
    this.#calls.add(call);
    call.once("close", () => this.#calls.delete(call));
  }

  #unary<Response>(answer: (request: QueryUploadRequest) => Response) {
    return ({ request }: ServerUnaryCall<QueryUploadRequest, Response>, done: sendUnaryData<Response>): void => {
      try {
        done(null, answer(request));
      } catch (error) {
        if (!(error instanceof Rejected)) throw error;
        done(this.#uploads.rules.status(error));
      }
    };
  }

  #has(fault: BalancerFault): boolean {
    return this.#fault === fault;
  }
}
