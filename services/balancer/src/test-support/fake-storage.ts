import {
  Capability,
  type DiscardRequest,
  type LoadResponse,
  OverloadCause,
  type SaveResponse,
  type WatchLoadResponse,
} from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import { type HealthCheckResponse, healthService } from "@bilancia/proto/health";
import { type SaveBatch, storageService } from "@bilancia/proto/services";
import {
  Server,
  type ServerDuplexStream,
  type ServerWritableStream,
  status,
  type UntypedHandleCall,
} from "@grpc/grpc-js";

/** Which optional rpcs a `FakeStorage` has. */
export interface FakeStorageOptions {
  readonly watchHealth?: boolean;
  readonly watchLoad?: boolean;
  /** What `Health/Watch` says, where that is something else than `Check` says. */
  readonly watchedStatus?: HealthCheckResponse["status"];
  /** How many files it works off in a second, one after another. Default: none. */
  readonly filesPerSecond?: number;
}

/** A small file that a `FakeStorage` was sent and has not answered. */
interface Work {
  readonly call: ServerDuplexStream<SaveBatch, SaveResponse>;
  readonly requestNumber: bigint;
  readonly sizeBytes: number;
}

/** A small file as a `FakeStorage` was sent it. */
interface SentFile {
  readonly requestNumber: bigint;
  readonly attempt: number;
  readonly sizeBytes: number;
}

type Outcome = NonNullable<SaveResponse["results"][number]["outcome"]>;
/** How a file is answered: as said, `never`, or by breaking the stream off (`lost`). */
type Answer = Outcome | "never" | "lost";

/** How often work is done, in milliseconds. */
const workEveryMs = 4;

type Watchers<Response> = Set<ServerWritableStream<unknown, Response>>;

/**
 * A storage server without storage: answers probes as it is told to, and counts them; says of small files that they are saved, at the speed it is
 * given, and does nothing while it is overloaded. Whoever starts it stops it.
 */
export class FakeStorage {
  address = "127.0.0.1:0";
  /** Health checks and load reports that were asked for. */
  readonly asked = { check: 0, load: 0 };
  /** While true, no question is answered. */
  frozen = false;
  /** Why it is overloaded, as it says. */
  causes = [OverloadCause.OVERLOAD_CAUSE_MEMORY];
  instanceId = "fake";
  serverName = "fake";
  version = "0";
  /** Files answered, and how long it could have worked, and had nothing to work on, in milliseconds, all since the start. */
  readonly done = { files: 0, availableMs: 0, idleMs: 0 };
  /** How it answers each small file; absent where it works at its speed instead. */
  answer: ((file: SentFile) => Answer) | undefined;
  /** The files that `answer` was asked about. */
  readonly sent: SentFile[] = [];
  /** The request numbers that it was told to discard. */
  readonly discards: bigint[] = [];
  readonly #work: Work[] = [];
  #working: NodeJS.Timeout | undefined;
  #workedMs = 0;
  /** Files that it could have worked off by now. */
  #credit = 0;
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
    server.addService(storageService, {
      save: ((call: ServerDuplexStream<SaveBatch, SaveResponse>) => this.#take(call)) as UntypedHandleCall,
      load: this.#unary(() => {
        this.asked.load += 1;
        return this.#load();
      }),
      discard: ((
        { request }: { request: DiscardRequest },
        callback: (error: null, response: { discarded: boolean }) => void,
      ) => {
        this.discards.push(request.requestNumber);
        callback(null, { discarded: true });
      }) as UntypedHandleCall,
      ...(watchLoad && {
        watchLoad: this.#stream<WatchLoadResponse>(this.#loadWatchers, () => ({ load: this.#load() })),
      }),
    } as Record<string, UntypedHandleCall>);
    server.addService(healthService, {
      check: this.#unary(() => {
        this.asked.check += 1;
        return this.#health();
      }),
      ...(watchHealth && {
        watch: this.#stream<HealthCheckResponse>(this.#healthWatchers, () => this.#watchedHealth()),
      }),
    });
    this.address = await listen(server, this.address);
    this.#server = server;
    this.#workedMs = performance.now();
    this.#working = setInterval(() => this.#doWork(), workEveryMs);
  }

  stop(): void {
    clearInterval(this.#working);
    this.#server?.forceShutdown();
  }

  set serving(serving: boolean) {
    this.#serving = serving;
    for (const call of this.#healthWatchers) call.write(this.#watchedHealth());
  }

  set overloaded(overloaded: boolean) {
    this.#overloaded = overloaded;
    for (const call of this.#loadWatchers) call.write({ load: this.#load() });
  }

  #take(call: ServerDuplexStream<SaveBatch, SaveResponse>): void {
    call.on("data", ({ parts }) => {
      for (const { header, data } of parts)
        if (header && this.answer) {
          const { requestNumber, attempt } = header;
          this.#answer(call, { requestNumber, attempt, sizeBytes: data.length }, this.answer);
        } else if (header) this.#work.push({ call, requestNumber: header.requestNumber, sizeBytes: data.length });
    });
    call.on("error", () => {});
    call.on("end", () => call.end());
  }

  #answer(call: Work["call"], file: SentFile, answer: (file: SentFile) => Answer): void {
    this.sent.push(file);
    const outcome = answer(file);
    if (outcome === "lost") call.emit("error", { code: status.INTERNAL, details: "it broke" });
    else if (outcome !== "never")
      call.write({ results: [{ requestNumber: file.requestNumber, outcome }], overloaded: this.#overloaded });
  }

  #doWork(): void {
    const nowMs = performance.now();
    const elapsedMs = nowMs - this.#workedMs;
    this.#workedMs = nowMs;
    if (this.#overloaded) return;
    this.done.availableMs += elapsedMs;
    if (this.#work.length === 0) {
      this.done.idleMs += elapsedMs;
      return;
    }
    this.#credit += (elapsedMs * (this.#options.filesPerSecond ?? 0)) / 1_000;
    while (this.#credit >= 1) {
      this.#credit -= 1;
      const work = this.#work.shift();
      if (!work) continue;
      this.done.files += 1;
      const { call, requestNumber, sizeBytes } = work;
      const outcome = saved({ requestNumber, sizeBytes });
      call.write({ results: [{ requestNumber, outcome }], overloaded: this.#overloaded });
    }
  }

  #health(): HealthCheckResponse {
    return { status: this.#serving ? "SERVING" : "NOT_SERVING" };
  }

  #watchedHealth(): HealthCheckResponse {
    const { watchedStatus } = this.#options;
    return watchedStatus === undefined ? this.#health() : { status: watchedStatus };
  }

  #load(): LoadResponse {
    return {
      overloaded: this.#overloaded,
      causes: this.#overloaded ? this.causes : [],
      capabilities: [
        Capability.CAPABILITY_DISCARD,
        ...(this.#options.watchLoad === false ? [] : [Capability.CAPABILITY_WATCH_LOAD]),
      ],
      instanceId: this.instanceId,
      serverName: this.serverName,
      version: this.version,
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

/** The answer that a file is stored. */
export function saved(
  { requestNumber, sizeBytes }: Pick<SentFile, "requestNumber" | "sizeBytes">,
  sha256: Uint8Array = Buffer.alloc(32),
): Outcome {
  const storedName = `${requestNumber}_`;
  const value = { storedName, sizeBytes: BigInt(sizeBytes), sha256, duplicate: false, textStats: undefined };
  return { $case: "saved", value };
}
