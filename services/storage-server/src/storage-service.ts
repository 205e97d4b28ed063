import type {
  DiscardRequest,
  DiscardResponse,
  LoadResponse,
  SaveResponse,
  StatRequest,
  StatResponse,
  WatchLoadRequest,
  WatchLoadResponse,
} from "@bilancia/proto/gen/storage";
import type { SaveBatch } from "@bilancia/proto/services";
import { statusText } from "@bilancia/proto/status-text";
import {
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Logger } from "pino";
import { StoreBroken } from "./file-store.js";
import { CallError, HeldFiles } from "./held-files.js";
import type { LoadMonitor } from "./load-monitor.js";
import { Refusal } from "./refusal.js";
import type { SaveDesk } from "./save-desk.js";
import { SaveStream } from "./save-stream.js";

/** The service `bilancia.v1.Storage`: gives each call to whoever answers it. Holds the open streams, and ends them when the server stops. */
export class StorageService {
  readonly #desk: SaveDesk;
  readonly #monitor: LoadMonitor;
  readonly #heldFiles: HeldFiles;
  readonly #streams = new Set<SaveStream>();
  readonly #watchers = new Set<ServerWritableStream<WatchLoadRequest, WatchLoadResponse>>();
  #stopping = false;

  constructor(desk: SaveDesk, monitor: LoadMonitor) {
    this.#desk = desk;
    this.#monitor = monitor;
    this.#heldFiles = new HeldFiles(desk.store, desk.registry);
  }

  /** The handlers, as grpc-js wants them. */
  handlers() {
    return {
      save: (call: ServerDuplexStream<SaveBatch, SaveResponse>) => this.#save(call),
      load: (_call: unknown, callback: sendUnaryData<LoadResponse>) => callback(null, this.#monitor.report()),
      watchLoad: (call: ServerWritableStream<WatchLoadRequest, WatchLoadResponse>) => this.#watchLoad(call),
      stat: (call: ServerUnaryCall<StatRequest, StatResponse>, callback: sendUnaryData<StatResponse>) =>
        void answer(this.#heldFiles.stat(call.request), callback, this.#desk.log),
      discard: (call: ServerUnaryCall<DiscardRequest, DiscardResponse>, callback: sendUnaryData<DiscardResponse>) =>
        void answer(this.#discard(call.request), callback, this.#desk.log),
    } satisfies UntypedServiceImplementation;
  }

  /** Takes no new files; resolves when the files in progress are answered and all streams are ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const call of this.#watchers)
      call.emit("error", { code: status.UNAVAILABLE, details: "the server is stopping" });
    await Promise.all([...this.#streams].map((stream) => stream.stop()));
  }

  /** Ends all streams at once, answers nothing more. */
  abort(why: string): void {
    for (const stream of this.#streams) stream.abort(why);
  }

  #save(call: ServerDuplexStream<SaveBatch, SaveResponse>): void {
    const stream = new SaveStream(call, this.#desk, () => this.#monitor.overloaded);
    this.#streams.add(stream);
    stream.serve(() => this.#streams.delete(stream));
    if (this.#stopping) void stream.stop();
  }

  #watchLoad(call: ServerWritableStream<WatchLoadRequest, WatchLoadResponse>): void {
    let isBehind = false;
    // To a watcher that does not read, what has changed meanwhile is said in one message once it does.
    const push = () => {
      isBehind = call.writableNeedDrain;
      if (!isBehind) call.write({ load: this.#monitor.report() });
    };
    call.on("drain", () => {
      if (isBehind) push();
    });
    const unsubscribe = this.#monitor.onChange(push);
    this.#watchers.add(call);
    const close = () => {
      unsubscribe();
      this.#watchers.delete(call);
    };
    call.once("cancelled", close);
    call.once("close", close);
    call.once("error", close);
    push();
  }

  async #discard(request: DiscardRequest): Promise<DiscardResponse> {
    const response = await this.#heldFiles.discard(request);
    const { requestNumber, uploadId, attempt } = request;
    this.#desk.log.info({ requestNumber, uploadId, attempt, discarded: response.discarded }, "file discarded");
    return response;
  }
}

/** Answers a unary call, and turns whatever goes wrong into a status without inner details. Never rejects. */
async function answer<Response>(
  response: Promise<Response>,
  callback: sendUnaryData<Response>,
  log: Logger,
): Promise<void> {
  try {
    callback(null, await response);
  } catch (error) {
    if (error instanceof CallError) callback({ code: error.code, details: statusText(error.message) });
    else if (error instanceof Refusal) callback({ code: status.INTERNAL, details: statusText(error.message) });
    else {
      if (!(error instanceof StoreBroken)) log.error({ err: error }, "call failed");
      callback({ code: status.INTERNAL, details: "the server failed" });
    }
  }
}
