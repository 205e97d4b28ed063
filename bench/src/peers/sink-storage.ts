import type { SaveHeader, SaveResponse, SaveResult } from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import { type SaveBatch, storageService } from "@bilancia/proto/services";
import { Server, type ServerDuplexStream, status } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";

const noDigest = new Uint8Array(32);

/** A storage server that says `saved` of every small file at once and keeps nothing: what is measured is the balancer alone. */
export class SinkStorage {
  readonly #server = new Server();
  /** Files that were answered with `saved`. */
  savedFiles = 0;

  /** @returns where it listens */
  async start(address: string): Promise<string> {
    const unimplemented = { code: status.UNIMPLEMENTED, details: "a sink holds nothing" };
    this.#server.addService(storageService, {
      save: (call: ServerDuplexStream<SaveBatch, SaveResponse>) => this.#save(call),
      load: (_: unknown, answer: (error: object) => void) => answer(unimplemented),
      watchLoad: (call: { destroy(error: unknown): void }) => call.destroy(unimplemented),
      stat: (_: unknown, answer: (error: object) => void) => answer(unimplemented),
      discard: (_: unknown, answer: (error: object) => void) => answer(unimplemented),
    });
    new HealthImplementation({ "": "SERVING", "bilancia.v1.Storage": "SERVING" }).addToServer(this.#server);
    return listen(this.#server, address);
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #save(call: ServerDuplexStream<SaveBatch, SaveResponse>): void {
    call.on("data", ({ parts }: SaveBatch) => {
      const results = parts.flatMap(({ header, finish, data }) =>
        header && finish ? [this.#saved(header, data.length)] : [],
      );
      this.savedFiles += results.length;
      call.write({ results, overloaded: false });
    });
    call.on("end", () => call.end());
    // The balancer ends its streams as it stops.
    call.on("error", () => undefined);
  }

  #saved({ requestNumber, name, sha256 = noDigest }: SaveHeader, sizeBytes: number): SaveResult {
    const saved = {
      ...{ storedName: `${requestNumber}_${name}`, sizeBytes: BigInt(sizeBytes), sha256, duplicate: false },
      textStats: undefined,
    };
    return { requestNumber, outcome: { $case: "saved", value: saved } };
  }
}
