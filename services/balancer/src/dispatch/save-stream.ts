import { BatchWriter } from "@bilancia/proto/batch-writer";
import { connectionWords } from "@bilancia/proto/connection-words";
import type { RefuseReason, SaveHeader, SaveResponse, SaveSaved } from "@bilancia/proto/gen/storage";
import type { Part } from "@bilancia/proto/part-codec";
import type { SaveBatch, StorageClient } from "@bilancia/proto/services";
import { fromDuration } from "@bilancia/proto/time";
import { type ServiceError, status } from "@grpc/grpc-js";

/** How a server answered one file. `lost`: it did not; the file may or may not be there. `early`: it had not been sent the file's end. */
export type SaveOutcome =
  | { readonly kind: "saved"; readonly saved: SaveSaved; readonly early?: boolean }
  | { readonly kind: "busy"; readonly retryAfterMs: number | undefined }
  | { readonly kind: "refused"; readonly reason: RefuseReason; readonly message: string }
  | { readonly kind: "lost"; readonly message: string };

/** What a save stream tells of its server. */
export interface SaveStreamEvents {
  /** The overload bit came with an answer. */
  overloaded(bit: boolean): void;
  /** The stream broke. `unreachable`: because the connection did. */
  broken(message: string, unreachable: boolean): void;
}

/** A part, or a whole message that goes out as it came in. */
type Item = { readonly part: Part<SaveHeader> } | { readonly raw: Buffer };

interface Pending {
  readonly settle: (outcome: SaveOutcome) => void;
  /** Since when the answer is awaited, by the monotonic clock; absent while the file is still being sent. */
  sinceMs: number | undefined;
}

/** One open `Save` call to one server: files go out, answers come back by request number. */
export class SaveStream {
  readonly #call: ReturnType<StorageClient["save"]>;
  readonly #writer: BatchWriter<Item, SaveBatch>;
  readonly #pending = new Map<bigint, Pending>();
  readonly #events: SaveStreamEvents;
  #closed = false;
  #late = false;
  /** Since when messages wait that the server does not take, and how many it had taken by then. */
  #held: { readonly sentCount: number; readonly sinceMs: number } | undefined;

  /** @param maxUnsent how many messages may wait in memory to be sent; see `BatchWriter` */
  constructor(client: StorageClient, events: SaveStreamEvents, maxUnsent?: () => number) {
    this.#events = events;
    this.#call = client.save();
    this.#writer = new BatchWriter<Item, SaveBatch>(this.#call, {
      toMessage,
      sizeOf: (item) => ("raw" in item ? item.raw.length : item.part.data.length + 256),
      alone: (item) => "raw" in item,
      maxUnsent,
    });
    this.#call.on("data", (response: SaveResponse) => this.#answered(response));
    this.#call.on("error", (error: ServiceError) =>
      this.#broke(connectionWords(error.details || error.message), error.code),
    );
    this.#call.on("end", () => this.#broke("the server ended the stream", status.OK));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether an answer was given up that may still come. It says of which file it is, and not of which attempt: no file may be sent here a second time. */
  get late(): boolean {
    return this.#late;
  }

  /** Whether no answer is awaited. */
  get idle(): boolean {
    return this.#pending.size === 0;
  }

  /** Registers a file that is about to be sent; resolves with its final answer, once. */
  expect(requestNumber: bigint): Promise<SaveOutcome> {
    if (this.#closed) return Promise.resolve({ kind: "lost", message: "the stream is closed" });
    return new Promise((settle) => this.#pending.set(requestNumber, { settle, sinceMs: undefined }));
  }

  /** The last of a file has been pushed: from now on the server owes an answer. */
  finished(requestNumber: bigint): void {
    const pending = this.#pending.get(requestNumber);
    if (pending) pending.sinceMs = performance.now();
  }

  /** Sends a part. Returns false when the caller should wait for `ready()` before the next one. */
  push(part: Part<SaveHeader>): boolean {
    return this.#writer.push({ part });
  }

  /** Sends a message as it is; it must continue the file last begun. */
  pushRaw(raw: Buffer): boolean {
    return this.#writer.push({ raw });
  }

  /** Resolves when there is room for more, or the stream is gone. */
  ready(): Promise<void> {
    return this.#writer.ready();
  }

  /**
   * Gives up on answers that have not come for `timeoutMs`: they are lost, and ignored should they come after all. Gives up on the whole stream where
   * messages have waited for as long and the server has taken none. To be called time and again.
   */
  expire(timeoutMs: number): void {
    const nowMs = performance.now();
    for (const [requestNumber, { settle, sinceMs }] of this.#pending) {
      if (sinceMs === undefined || nowMs - sinceMs < timeoutMs) break;
      this.#pending.delete(requestNumber);
      this.#late = true;
      settle({ kind: "lost", message: `no answer within ${timeoutMs} ms` });
    }
    if (this.#closed || !this.#isHeld(nowMs, timeoutMs)) return;
    this.#broke(`nothing was taken within ${timeoutMs} ms`, status.CANCELLED);
    this.cancel();
  }

  /** Half-closes: what was pushed goes out, answers still come. */
  end(): void {
    this.#writer.end();
  }

  /** Breaks the stream off: the server drops what it has not in full. */
  cancel(): void {
    this.#call.cancel();
  }

  /** Breaks it off without a word: what may still come of it is of no interest. */
  letGo(): void {
    this.#closed = true;
    this.#call.cancel();
  }

  /** Where nothing waits to be sent, it is the client who is waited for. */
  #isHeld(nowMs: number, timeoutMs: number): boolean {
    const { sentCount } = this.#writer;
    if (this.#call.writableLength === 0) this.#held = undefined;
    else if (this.#held?.sentCount !== sentCount) this.#held = { sentCount, sinceMs: nowMs };
    return this.#held !== undefined && nowMs - this.#held.sinceMs >= timeoutMs;
  }

  #answered(response: SaveResponse): void {
    this.#events.overloaded(response.overloaded);
    for (const { requestNumber, outcome } of response.results) {
      if (!outcome || outcome.$case === "accept") continue;
      const pending = this.#pending.get(requestNumber);
      if (!pending) continue;
      this.#pending.delete(requestNumber);
      switch (outcome.$case) {
        case "saved":
          pending.settle({ kind: "saved", saved: outcome.value, early: pending.sinceMs === undefined });
          break;
        case "busy":
          pending.settle({
            kind: "busy",
            retryAfterMs: outcome.value.retryAfter && fromDuration(outcome.value.retryAfter),
          });
          break;
        case "refused":
          pending.settle({ kind: "refused", reason: outcome.value.reason, message: outcome.value.message });
      }
    }
  }

  #broke(message: string, code: status): void {
    if (this.#closed) return;
    this.#closed = true;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    // A stream that ends as it was asked to, with nothing left to answer, is no news.
    if (code !== status.OK || pending.length > 0) this.#events.broken(message, code === status.UNAVAILABLE);
    for (const { settle } of pending) settle({ kind: "lost", message });
  }
}

function toMessage(items: Item[]): SaveBatch {
  const [first] = items;
  if (first && "raw" in first) return { parts: [], raw: first.raw };
  return { parts: items.flatMap((item) => ("part" in item ? [item.part] : [])) };
}
