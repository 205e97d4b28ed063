import { createHash } from "node:crypto";
import { type Capability, LoadResponse, type SaveResponse, type SaveResult } from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import { healthService } from "@bilancia/proto/health";
import { type SaveBatch, storageService } from "@bilancia/proto/services";
import { Server, type ServerDuplexStream, type sendUnaryData, status, type UntypedHandleCall } from "@grpc/grpc-js";

/** A file as it is held in memory. */
export interface HeldFile {
  readonly name: string;
  readonly bytes: Buffer;
}

type SaveCall = ServerDuplexStream<SaveBatch, SaveResponse>;

/**
 * A storage server as small as the contract allows: `Save`, `Load` without a figure, and `Health/Check`. Everything else is UNIMPLEMENTED, and
 * counted. It holds files in memory, also while it is stopped. Whoever starts it stops it.
 */
export class RequiredOnlyStorage {
  address = "127.0.0.1:0";
  /** Whole files, by origin and request number. */
  readonly held = new Map<string, HeldFile>();
  /** How often each rpc was called that it has not got, by path. */
  readonly calledInVain = new Map<string, number>();
  loadsAsked = 0;
  /** Called once the next file is whole, instead of answering it. */
  onNextWhole: (() => void) | undefined;
  readonly #capabilities: Capability[];
  #server: Server | undefined;

  /** @param capabilities what it announces; numbers that this version of the contract does not know are those of a newer one */
  constructor(capabilities: Capability[] = []) {
    this.#capabilities = capabilities;
  }

  /** Starts, the next time on the same port. */
  async start(): Promise<void> {
    const server = new Server();
    const load = (_call: unknown, done: sendUnaryData<LoadResponse>) => {
      this.loadsAsked += 1;
      done(null, LoadResponse.fromPartial({ capabilities: this.#capabilities }));
    };
    const storage = { save: (call: SaveCall) => this.#save(call), load };
    const health = { check: (_call: unknown, done: sendUnaryData<object>) => done(null, { status: "SERVING" }) };
    server.addService(storageService, this.#withTheRest(storageService, storage));
    server.addService(healthService, this.#withTheRest(healthService, health));
    this.address = await listen(server, this.address);
    this.#server = server;
  }

  stop(): void {
    this.#server?.forceShutdown();
  }

  /** Counts calls of what is not there, and answers as a server does that has no such method. */
  #withTheRest(service: Record<string, { path: string }>, handlers: object): Record<string, UntypedHandleCall> {
    const rest = Object.entries(service).map(([name, { path }]) => {
      const unimplemented = (call: { emit(event: string, error: object): void }, done?: (error: object) => void) => {
        this.calledInVain.set(path, (this.calledInVain.get(path) ?? 0) + 1);
        const error = { code: status.UNIMPLEMENTED, details: `no ${path}` };
        if (done) done(error);
        else call.emit("error", error);
      };
      return [name.charAt(0).toLowerCase() + name.slice(1), unimplemented];
    });
    return { ...Object.fromEntries(rest), ...handlers } as Record<string, UntypedHandleCall>;
  }

  #save(call: SaveCall): void {
    let key = "";
    let name = "";
    let requestNumber = 0n;
    let chunks: Uint8Array[] = [];
    call.on("error", () => {});
    call.on("end", () => call.end());
    call.on("data", ({ parts }: SaveBatch) => {
      const results: SaveResult[] = [];
      for (const { header, data, finish } of parts) {
        if (header) {
          ({ name, requestNumber } = header);
          key = `${header.origin} ${requestNumber}`;
          chunks = [];
        }
        chunks.push(data);
        if (!finish) continue;
        const duplicate = this.held.has(key);
        if (!duplicate) this.held.set(key, { name, bytes: Buffer.concat(chunks) });
        const lost = this.onNextWhole;
        this.onNextWhole = undefined;
        if (lost) return lost();
        results.push(savedResult(requestNumber, this.held.get(key) as HeldFile, duplicate));
      }
      if (results.length > 0) call.write({ results, overloaded: false });
    });
  }
}

function savedResult(requestNumber: bigint, { name, bytes }: HeldFile, duplicate: boolean): SaveResult {
  const sha256 = createHash("sha256").update(bytes).digest();
  const value = { storedName: `${requestNumber}_${name}`, sizeBytes: BigInt(bytes.length), sha256, duplicate };
  return { requestNumber, outcome: { $case: "saved", value: { ...value, textStats: undefined } } };
}
