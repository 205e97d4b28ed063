import { createHash, randomUUID } from "node:crypto";
import { extname } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { serverOptions } from "@bilancia/proto/channel-options";
import { fileNameProblem } from "@bilancia/proto/file-name";
import {
  Capability,
  type DiscardRequest,
  type DiscardResponse,
  Holding,
  Kind,
  type LoadResponse,
  OverloadCause,
  RefuseReason,
  type SaveHeader,
  type SaveResponse,
  type SaveResult,
  type StatRequest,
  type StatResponse,
  type TextStats,
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
import type { Fault } from "./faults.js";

/** Files in progress from which on the fake is overloaded, and answers busy. */
export const fakeLimits = { overloadFiles: 4, busyFiles: 8 };

interface Fence {
  readonly term: bigint;
  readonly attempt: number;
}

interface Stored {
  readonly header: SaveHeader;
  readonly storedName: string;
  readonly sizeBytes: bigint;
  readonly sha256: Buffer;
  readonly textStats: TextStats | undefined;
}

interface Arriving {
  readonly header: SaveHeader;
  readonly chunks: Uint8Array[];
  receivedBytes: number;
}

class Refused extends Error {
  constructor(
    readonly reason: keyof typeof RefuseReason,
    message: string,
  ) {
    super(message);
  }
}

/** How long a file takes to be there where it is acknowledged too early, in milliseconds. */
const lateMs = 500;

/**
 * A storage server in memory that keeps to the contract, except for one fault where it is given one. What it holds outlives `restart`, which
 * cuts all connections. Whoever starts it stops it.
 */
export class FakeStorage {
  readonly #fault: Fault | undefined;
  readonly #arriving = new Set<Arriving>();
  readonly #calls = new Set<ServerDuplexStream<SaveBatch, SaveResponse>>();
  #stored = new Map<string, Stored>();
  #tombstones = new Map<string, Fence & { readonly uploadId: string }>();
  #fences = new Map<string, Fence>();
  #names = new Set<string>();
  #server: Server | undefined;
  #instanceId = "";
  #address = "127.0.0.1:0";

  private constructor(fault: Fault | undefined) {
    this.#fault = fault;
  }

  static async start(fault?: Fault): Promise<FakeStorage> {
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
    return this.#stored.size;
  }

  async restart(): Promise<void> {
    // With forceShutdown alone, the stream of a client in the same process was seen to stay open.
    for (const call of this.#calls) call.emit("error", { code: status.UNAVAILABLE, details: "restart" });
    await nextTurn();
    this.stop();
    this.#arriving.clear();
    if (this.#has("forgets everything at a restart")) {
      this.#stored = new Map();
      this.#tombstones = new Map();
      this.#names = new Set();
    }
    // What is held keeps its fence; others are forgotten, as the contract allows.
    for (const key of this.#fences.keys()) if (!this.#stored.has(key)) this.#fences.delete(key);
    if (this.#has("forgets fences at a restart") || this.#has("forgets everything at a restart"))
      this.#fences = new Map();
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
        done(null, this.#stat(request)),
      discard: ({ request }: ServerUnaryCall<DiscardRequest, DiscardResponse>, done: sendUnaryData<DiscardResponse>) =>
        this.#discard(request, done),
    });
    const health = new HealthImplementation({
      "": this.#has("is never serving") ? "NOT_SERVING" : "SERVING",
      ...(this.#has("knows services that it has not got") && { "no.such.Service": "SERVING" }),
    });
    health.addToServer(server);
    this.#server = server;
    this.#address = await listen(server, this.#address);
  }

  #has(fault: Fault): boolean {
    return this.#fault === fault;
  }

  #key({ origin, requestNumber }: { readonly origin: string; readonly requestNumber: bigint }): string {
    return this.#has("keeps one origin's files for all") ? String(requestNumber) : `${origin}/${requestNumber}`;
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
      if (this.#has("keeps the beginning of a file whose stream broke")) this.#keep(current, undefined);
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
          answer(header.requestNumber, { $case: "saved", value: this.#finish(current, part) });
          current = undefined;
        } catch (error) {
          if (!(error instanceof Refused)) throw error;
          const failed = typeof current === "object" ? current.header : part.header;
          if (typeof current === "object") this.#arriving.delete(current);
          current = part.finish ? undefined : "skipped";
          if (!failed) continue;
          if (!this.#has("forgets attempts that were refused")) this.#see(failed);
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

  #finish(arriving: Arriving, { finish }: Part<SaveHeader>) {
    const { header } = arriving;
    const sha256 = createHash("sha256").update(Buffer.concat(arriving.chunks)).digest();
    for (const said of [header.sizeBytes, finish?.sizeBytes])
      if (said !== undefined && said !== BigInt(arriving.receivedBytes) && !this.#has("ignores the announced length"))
        throw new Refused("REFUSE_REASON_SIZE_MISMATCH", `${said} bytes were announced`);
    for (const said of [header.sha256, finish?.sha256])
      if (said && !sha256.equals(said) && !this.#has("ignores the announced digest"))
        throw new Refused("REFUSE_REASON_DIGEST_MISMATCH", "the SHA-256 differs");
    const key = this.#key(header);
    const known = this.#stored.get(key);
    const isOther = known && known.header.uploadId !== header.uploadId;
    if (isOther && !this.#has("takes another upload under a known number"))
      throw new Refused("REFUSE_REASON_NUMBER_TAKEN", "another upload has this number");
    this.#throwIfStale(header);
    this.#see(header);
    if (known && !isOther && !this.#has("knows no file again")) {
      if (!known.sha256.equals(sha256) && !this.#has("takes other bytes under a known upload"))
        throw new Refused("REFUSE_REASON_DIGEST_MISMATCH", "other bytes than those that are stored");
      return { ...known, duplicate: true };
    }
    const textStats = header.kind === Kind.KIND_TEXT_DOCUMENT ? this.#count(arriving) : undefined;
    const stored = this.#keep(arriving, textStats);
    const last = arriving.chunks.findLast(({ length }) => length > 0) ?? Buffer.alloc(0);
    return {
      ...stored,
      duplicate: false,
      ...(this.#has("tells a length that is one too large") && { sizeBytes: stored.sizeBytes + 1n }),
      ...(this.#has("tells the digest of the last message only") && {
        sha256: createHash("sha256").update(last).digest(),
      }),
    };
  }

  #keep({ header, chunks, receivedBytes }: Arriving, textStats: TextStats | undefined): Stored {
    const storedName = this.#freeName(header);
    const sha256 = createHash("sha256").update(Buffer.concat(chunks)).digest();
    const stored = { header, storedName, sizeBytes: BigInt(receivedBytes), sha256, textStats };
    const store = () => {
      this.#names.add(storedName);
      this.#stored.set(this.#key(header), stored);
    };
    if (this.#has("acknowledges before the file is there")) setTimeout(store, lateMs);
    else store();
    return stored;
  }

  #freeName({ requestNumber, name, origin }: SaveHeader): string {
    if (this.#has("names files by their number only")) return String(requestNumber);
    const plain = `${requestNumber}_${name}`;
    if (!this.#names.has(plain)) return plain;
    const extension = extname(plain);
    return `${plain.slice(0, plain.length - extension.length)}~${origin.slice(0, 8)}${extension}`;
  }

  #throwIfStale(header: SaveHeader): void {
    const key = this.#key(header);
    const tombstone = this.#has("takes a late attempt after Discard") ? undefined : this.#tombstones.get(key);
    const seen = this.#fences.get(key);
    const isStale = (seen && this.#compare(header, seen) < 0) || (tombstone && this.#compare(header, tombstone) <= 0);
    if (isStale) throw new Refused("REFUSE_REASON_STALE_ATTEMPT", "a later attempt has been seen");
  }

  #see(header: SaveHeader): void {
    const key = this.#key(header);
    const seen = this.#fences.get(key);
    if (!seen || this.#compare(header, seen) > 0) this.#fences.set(key, header);
  }

  #compare(a: Fence, b: Fence): number {
    if (a.term !== b.term && !this.#has("ignores the term")) return a.term < b.term ? -1 : 1;
    return this.#has("ignores the attempt") ? 0 : a.attempt - b.attempt;
  }

  #count({ chunks }: Arriving): TextStats {
    let content: unknown;
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
      const value: Record<string, unknown> = JSON.parse(text);
      const title = value.title ?? value.titolo;
      content = typeof title === "string" ? (value.content ?? value.contenuto) : undefined;
    } catch {
      content = undefined;
    }
    if (typeof content !== "string" && this.#has("takes any document")) content = "";
    if (typeof content !== "string") throw new Refused("REFUSE_REASON_NOT_A_TEXT_DOCUMENT", "no text document");
    const characters = this.#has("counts characters in UTF-16") ? content.length : [...content].length;
    return { lettersA: BigInt(content.match(/a/gi)?.length ?? 0), characters: BigInt(characters) };
  }

  #stat(request: StatRequest): StatResponse {
    const key = this.#key(request);
    const arriving = [...this.#arriving].find(({ header }) => this.#key(header) === key);
    if (arriving && !this.#has("shows a file that is arriving as stored"))
      return { holding: Holding.HOLDING_RECEIVING, file: undefined };
    const stored = this.#stored.get(key);
    if (!stored) {
      const isShown = arriving !== undefined || this.#has("says of every number that a file is held");
      return { holding: isShown ? Holding.HOLDING_STORED : Holding.HOLDING_NONE, file: undefined };
    }
    const { uploadId, term, attempt } = stored.header;
    return { holding: Holding.HOLDING_STORED, file: { ...stored, uploadId, term, attempt, storedAt: undefined } };
  }

  #discard(request: DiscardRequest, done: sendUnaryData<DiscardResponse>): void {
    const key = this.#key(request);
    const stored = this.#stored.get(key);
    const fence = this.#fences.get(key);
    const isOther = stored !== undefined && stored.header.uploadId !== request.uploadId;
    const isEarlier = stored !== undefined && fence !== undefined && this.#compare(request, fence) < 0;
    if ((isOther || isEarlier) && !this.#has("removes what Discard does not name")) {
      done({ code: status.FAILED_PRECONDITION, details: "another upload, or a later attempt" });
      return;
    }
    if (stored) this.#names.delete(stored.storedName);
    const { term, attempt, uploadId } = request;
    const before = this.#tombstones.get(key);
    if (!before || this.#compare(request, before) > 0) this.#tombstones.set(key, { term, attempt, uploadId });
    done(null, { discarded: this.#stored.delete(key) });
  }
}
