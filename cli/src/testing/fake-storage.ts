import { randomUUID } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { serverOptions } from "@bilancia/proto/channel-options";
import { fileNameProblem } from "@bilancia/proto/file-name";
import {
  Capability,
  type DiscardRequest,
  type DiscardResponse,
  type LoadResponse,
  OverloadCause,
  RefuseReason,
  type SaveHeader,
  type SaveResponse,
  type SaveResult,
  type StatRequest,
  type StatResponse,
} from "@bilancia/proto/gen/storage";
import { listen } from "@bilancia/proto/grpc-server";
import { headerProblem, isUuid } from "@bilancia/proto/header-rules";
import { maxPartDataBytes } from "@bilancia/proto/limits";
import type { Part } from "@bilancia/proto/part-codec";
import { type SaveBatch, storageService } from "@bilancia/proto/services";
import {
  Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { crc32c } from "@node-rs/crc32";
import { HealthImplementation } from "grpc-health-check";
import { type Arriving, FakeHeldFiles, Refused } from "./fake-held-files.js";
import type { StorageFault } from "./storage-faults.js";

/** Files in progress from which on the fake is overloaded, and answers busy. */
export const fakeLimits = { overloadFiles: 4, busyFiles: 8 };

/**
 * A storage server in memory that keeps to the contract, except for one fault where it is given one. What it holds outlives `restart`, which
 * cuts all connections. Whoever starts it stops it.
 */
export class FakeStorage {
  readonly #fault: StorageFault | undefined;
  readonly #arriving = new Set<Arriving>();
  readonly #calls = new Set<ServerDuplexStream<SaveBatch, SaveResponse>>();
  readonly #held: FakeHeldFiles;
  #server: Server | undefined;
  #instanceId = "";
  #address = "127.0.0.1:0";

  private constructor(fault: StorageFault | undefined) {
    this.#fault = fault;
    this.#held = new FakeHeldFiles(fault, this.#arriving);
  }

  static async start(fault?: StorageFault): Promise<FakeStorage> {
    const fake = new FakeStorage(fault);
    await fake.#serve();
    return fake;
  }

  /** `host:port`; the same one after a restart. */
  get address(): string {
    return this.#address;
  }

  /** How many files it holds. */
  get heldCount(): number {
    return this.#held.count;
  }

  async restart(): Promise<void> {
    // With forceShutdown alone, the stream of a client in the same process was seen to stay open.
    for (const call of this.#calls) call.emit("error", { code: status.UNAVAILABLE, details: "restart" });
    await nextTurn();
    this.stop();
    this.#arriving.clear();
    this.#held.restarted();
    await this.#serve();
  }

  stop(): void {
    this.#server?.forceShutdown();
  }

  async #serve(): Promise<void> {
    if (this.#instanceId === "" || !this.#has("keeps its instance id")) this.#instanceId = randomUUID();
    const server = new Server(serverOptions);
    server.addService(storageService, {
      save: (call: ServerDuplexStream<SaveBatch, SaveResponse>) => this.#save(call),
      load: (_call: unknown, done: sendUnaryData<LoadResponse>) => {
        const isSilent = this.#has("answers Load when nothing is in progress only") && this.#arriving.size > 0;
        if (!isSilent) done(null, this.#load());
      },
      watchLoad: (call: ServerWritableStream<unknown, unknown>) => {
        if (this.#has("lists what it has not got")) call.emit("error", { code: status.UNIMPLEMENTED });
        else if (!this.#has("pushes nothing to those who watch")) call.write({ load: this.#load() });
      },
      stat: ({ request }: ServerUnaryCall<StatRequest, StatResponse>, done: sendUnaryData<StatResponse>) =>
        done(null, this.#held.stat(request)),
      discard: ({ request }: ServerUnaryCall<DiscardRequest, DiscardResponse>, done: sendUnaryData<DiscardResponse>) =>
        this.#held.discard(request, done),
    });
    const health = new HealthImplementation({
      "": this.#has("is never serving") ? "NOT_SERVING" : "SERVING",
      ...(this.#has("knows services that it has not got") && { "no.such.Service": "SERVING" }),
    });
    health.addToServer(server);
    this.#server = server;
    this.#address = await listen(server, this.#address);
  }

  #has(fault: StorageFault): boolean {
    return this.#fault === fault;
  }

  get #overloaded(): boolean {
    if (this.#has("says that it is always overloaded")) return true;
    return this.#arriving.size >= fakeLimits.overloadFiles && !this.#has("never says that it is overloaded");
  }

  #load(): LoadResponse {
    const overloaded = this.#overloaded;
    return {
      overloaded,
      causes: overloaded ? [OverloadCause.OVERLOAD_CAUSE_IN_FLIGHT_FILES] : [],
      capabilities: [Capability.CAPABILITY_WATCH_LOAD, Capability.CAPABILITY_STAT, Capability.CAPABILITY_DISCARD],
      ...{ instanceId: this.#instanceId, serverName: "fake", version: "" },
    };
  }

  #save(call: ServerDuplexStream<SaveBatch, SaveResponse>): void {
    /** `skipped`: answered already, the rest of it is not looked at. */
    let current: Arriving | "skipped" | undefined;
    const drop = () => {
      if (typeof current !== "object") return;
      this.#arriving.delete(current);
      if (this.#has("keeps the beginning of a file whose stream broke")) this.#held.keep(current, undefined);
      current = undefined;
    };
    this.#calls.add(call);
    call.once("close", () => this.#calls.delete(call));
    for (const event of ["cancelled", "error"]) call.on(event, drop);
    call.on("end", () => {
      drop();
      if (!this.#has("leaves the stream open when its sender has closed it")) call.end();
    });
    call.on("data", ({ parts }: SaveBatch) => {
      const results: SaveResult[] = [];
      const answer = (requestNumber: bigint, outcome: SaveResult["outcome"]) => {
        results.push({ requestNumber, outcome });
        if (this.#has("answers twice")) results.push({ requestNumber, outcome });
      };
      const flush = () => {
        if (results.length > 1 && this.#has("answers for the wrong number")) {
          const [first, second] = results;
          if (first && second)
            [first.requestNumber, second.requestNumber] = [second.requestNumber, first.requestNumber];
        }
        const bit = this.#overloaded !== this.#has("tells another overload bit with its answers");
        if (results.length > 0) call.write({ results, overloaded: bit });
      };
      for (const part of parts) {
        const problem = this.#problemOf(part, current);
        if (problem !== undefined) {
          drop();
          flush();
          call.emit("error", { code: status.INVALID_ARGUMENT, details: problem });
          return;
        }
        try {
          if (part.header) current = this.#begin(part.header, answer);
          if (typeof current !== "object") continue;
          const { header } = current;
          if (!this.#take(current, part)) continue;
          this.#arriving.delete(current);
          answer(header.requestNumber, { $case: "saved", value: this.#held.finish(current, part) });
          current = undefined;
        } catch (error) {
          if (!(error instanceof Refused)) throw error;
          const failed = typeof current === "object" ? current.header : part.header;
          if (typeof current === "object") this.#arriving.delete(current);
          current = part.finish ? undefined : "skipped";
          if (!failed) continue;
          if (!this.#has("forgets attempts that were refused")) this.#held.see(failed);
          const value = { reason: RefuseReason[error.reason], message: error.message };
          answer(failed.requestNumber, { $case: "refused", value });
          if (this.#has("ends the stream at a bad file")) {
            flush();
            call.emit("error", { code: status.INTERNAL, details: "a bad file" });
            return;
          }
        }
      }
      flush();
    });
  }

  /** Says why a part cannot be understood, or `undefined`. */
  #problemOf(part: Part<SaveHeader>, current: Arriving | "skipped" | undefined): string | undefined {
    if (this.#has("takes whatever parts come")) return undefined;
    if (part.data.length > maxPartDataBytes) return "data over the limit";
    if (part.header) return part.offset === 0 ? undefined : "a file begins at 0";
    if (current === undefined) return "data before a header";
    if (current === "skipped" || this.#has("takes offsets that leave a gap")) return undefined;
    return part.offset === current.receivedBytes ? undefined : `offset ${part.offset}`;
  }

  #begin(
    header: SaveHeader,
    answer: (requestNumber: bigint, outcome: SaveResult["outcome"]) => void,
  ): Arriving | "skipped" {
    const problem =
      headerProblem(header) ??
      (/^[0-9a-f]{32}$/.test(header.origin) ? undefined : "origin") ??
      (header.requestNumber > 0n ? undefined : "request_number") ??
      (isUuid(header.uploadId) ? undefined : "upload_id") ??
      (header.attempt > 0 ? undefined : "attempt");
    if (problem && !this.#has("takes any header")) throw new Refused("REFUSE_REASON_INVALID_HEADER", problem);
    const nameProblem = fileNameProblem(header.name);
    const isSeparator = /[/\\]/.test(header.name) && this.#has("takes names with path separators");
    if (nameProblem && !isSeparator) throw new Refused("REFUSE_REASON_INVALID_NAME", nameProblem);
    if (this.#arriving.size >= fakeLimits.busyFiles) {
      if (this.#has("refuses instead of saying busy")) throw new Refused("REFUSE_REASON_INTERNAL", "busy");
      answer(header.requestNumber, { $case: "busy", value: { retryAfter: undefined } });
      return "skipped";
    }
    const arriving = { header, chunks: [], receivedBytes: 0 };
    this.#arriving.add(arriving);
    return arriving;
  }

  /** Takes a part. True when the file is whole. */
  #take(arriving: Arriving, part: Part<SaveHeader>): boolean {
    const isDamaged = part.crc32c !== undefined && part.crc32c !== crc32c(part.data);
    if (isDamaged && !this.#has("ignores crc32c"))
      throw new Refused("REFUSE_REASON_CHECKSUM_MISMATCH", "the CRC-32C differs");
    arriving.chunks.push(part.data);
    arriving.receivedBytes += part.data.length;
    return part.finish !== undefined;
  }
}
