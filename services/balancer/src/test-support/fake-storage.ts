import { type LoadResponse, OverloadCause, StorageService, type WatchLoadResponse } from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import type { HealthCheckResponse } from "@bilancia/proto/health";
import { Server, type ServerWritableStream, type UntypedHandleCall } from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";

/** Which optional rpcs a `FakeStorage` has. */
export interface FakeStorageOptions {
  readonly watchHealth?: boolean;
  readonly watchLoad?: boolean;
}

type Watchers<Response> = Set<ServerWritableStream<unknown, Response>>;

/** A storage server without storage: answers probes as it is told to, and counts them. Whoever starts it stops it. */
export class FakeStorage {
  address = "127.0.0.1:0";
  /** Health checks and load reports that were asked for. */
  readonly asked = { check: 0, load: 0 };
  /** While true, no question is answered. */
  frozen = false;
  #serving = true;
  #overloaded = false;
  #server: Server | undefined;
  readonly #options: FakeStorageOptions;
  readonly #healthWatchers: Watchers<HealthCheckResponse> = new Set();
  readonly #loadWatchers: Watchers<WatchLoadResponse> = new Set();

  constructor(options: FakeStorageOptions = {}) {
    this.#options = options;
  }

  static async start(options?: FakeStorageOptions): Promise<FakeStorage> {
    const storage = new FakeStorage(options);
    await storage.start();
    return storage;
  }

  /** Starts, the next time on the same port. */
  async start(): Promise<void> {
    const server = new Server();
    const { watchHealth = true, watchLoad = true } = this.#options;
    server.addService(StorageService, {
      save: (() => {}) as UntypedHandleCall,
      load: this.#unary(() => {
        this.asked.load += 1;
        return this.#load();
      }),
      ...(watchLoad && {
        watchLoad: this.#stream<WatchLoadResponse>(this.#loadWatchers, () => ({ load: this.#load() })),
      }),
    } as Record<string, UntypedHandleCall>);
    server.addService(healthService, {
      check: this.#unary(() => {
        this.asked.check += 1;
        return this.#health();
      }),
      ...(watchHealth && { watch: this.#stream<HealthCheckResponse>(this.#healthWatchers, () => this.#health()) }),
    });
    this.address = await listen(server, this.address);
    this.#server = server;
  }

  stop(): void {
    this.#server?.forceShutdown();
  }

  set serving(serving: boolean) {
    this.#serving = serving;
    for (const call of this.#healthWatchers) call.write(this.#health());
  }

  set overloaded(overloaded: boolean) {
    this.#overloaded = overloaded;
    for (const call of this.#loadWatchers) call.write({ load: this.#load() });
  }

  #health(): HealthCheckResponse {
    return { status: this.#serving ? "SERVING" : "NOT_SERVING" };
  }

  #load(): LoadResponse {
    return {
      overloaded: this.#overloaded,
      causes: this.#overloaded ? [OverloadCause.OVERLOAD_CAUSE_MEMORY] : [],
      capabilities: [],
      instanceId: "fake",
      serverName: "fake",
      version: "0",
    } as unknown as LoadResponse;
  }

  #unary<Response>(answer: () => Response): UntypedHandleCall {
    return ((_call: unknown, callback: (error: unknown, response?: Response) => void) => {
      if (!this.frozen) callback(null, answer());
    }) as UntypedHandleCall;
  }

  #stream<Response>(watchers: Watchers<Response>, current: () => Response): UntypedHandleCall {
    return ((call: ServerWritableStream<unknown, Response>) => {
      watchers.add(call);
      call.on("cancelled", () => watchers.delete(call));
      call.write(current());
    }) as UntypedHandleCall;
  }
}
