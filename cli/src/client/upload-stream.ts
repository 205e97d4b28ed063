import { BatchWriter } from "@bilancia/proto/batch-writer";
import type { UploadEvent, UploadFileResponse } from "@bilancia/proto/gen/balancer";
import type { UploadBatch } from "@bilancia/proto/services";
import { type ClientDuplexStream, status as grpcStatus, type StatusObject } from "@grpc/grpc-js";
import type { UploadPart } from "./upload.js";

/** About what a header, and everything of a part besides its data, takes in a message, in bytes. */
const headerBytes = 512;

/** How a stream ended, in gRPC's terms. */
export type StreamEnd = Pick<StatusObject, "code" | "details">;

/**
 * One connection's upload stream: batches parts, obeys backpressure, hands out events. Whoever makes it calls `close`.
 */
export class UploadStream {
  /** Resolves, never rejects, when the stream is over. */
  readonly ended: Promise<StreamEnd>;
  readonly #call: ClientDuplexStream<UploadBatch, UploadFileResponse>;
  readonly #writer: BatchWriter<UploadPart, UploadBatch>;
  #closed = false;

  constructor(call: ClientDuplexStream<UploadBatch, UploadFileResponse>, onEvents: (events: UploadEvent[]) => void) {
    this.#call = call;
    this.#writer = new BatchWriter(call, {
      toMessage: (parts) => ({ parts }),
      sizeOf: (part) => part.data.length + headerBytes,
      // A message with data only can be passed on byte for byte by the balancer.
      alone: (part) => !part.header && part.data.length > 0,
    });
    call.on("data", (response: UploadFileResponse) => {
      if (!this.#closed) onEvents(response.events);
    });
    // The same news comes as 'status', with more care about order.
    call.on("error", () => {});
    this.ended = new Promise((resolve) => {
      call.on("status", (end: StatusObject) => {
        // One turn later, so that events which came with the end are read first.
        setImmediate(() => {
          this.#closed = true;
          call.destroy();
          resolve({ code: end.code, details: end.details });
        });
      });
    });
  }

  get closed(): boolean {
    return this.#closed || this.#writer.closed;
  }

  /** Sends a part, and waits while the connection has enough. Parts pushed after the end are dropped. */
  async push(part: UploadPart): Promise<void> {
    if (!this.#writer.push(part)) await this.#writer.ready();
  }

  /** Half-closes and lets the balancer end the stream; after `graceMs` it is cut. */
  async finish(graceMs: number): Promise<void> {
    this.#writer.end();
    const timer = setTimeout(() => this.#call.cancel(), graceMs);
    await this.ended;
    clearTimeout(timer);
  }

  /** Cuts the stream, if it is still there. No events come after this. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#call.cancel();
  }
}

/** Ends that a new stream may get over: the connection broke, or the balancer stops or has no room. */
const passing: ReadonlySet<grpcStatus> = new Set([
  grpcStatus.OK,
  grpcStatus.CANCELLED,
  grpcStatus.UNKNOWN,
  grpcStatus.DEADLINE_EXCEEDED,
  grpcStatus.RESOURCE_EXHAUSTED,
  grpcStatus.ABORTED,
  grpcStatus.INTERNAL,
  grpcStatus.UNAVAILABLE,
]);

/** Whether it makes sense to connect again after this end. */
export function isPassing(end: StreamEnd): boolean {
  return passing.has(end.code);
}
