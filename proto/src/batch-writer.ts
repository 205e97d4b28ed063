import type { Writable } from "node:stream";
import { Condition } from "./condition.js";
import { batchTargetBytes, maxPartsPerMessage } from "./limits.js";

/** How a `BatchWriter` turns items into messages. */
export interface BatchWriterOptions<Item, Message> {
  /** Puts items, one or more, into one message. */
  readonly toMessage: (items: Item[]) => Message;
  /** How many bytes of a message an item takes, about. */
  readonly sizeOf: (item: Item) => number;
  /** An item for which this is true gets a message of its own. Default: none does. */
  readonly alone?: (item: Item) => boolean;
  /** How many messages may wait in the stream until it has sent them, asked with each. Default: as many as the stream likes, which are 16 in grpc-js, up to 4 MiB. */
  readonly maxUnsent?: (() => number) | undefined;
}

/**
 * Writes items to a gRPC stream in batches: what was pushed in one turn of the event loop goes out together, in
 * messages of up to 64 items or 256 KiB. It never waits to fill a message, and it obeys the stream: once `write` has said 'enough', nothing
 * more is written before `drain`, and `push` says so to its caller.
 *
 * Whoever makes it ends it: `end()` writes what is left and half-closes the stream. When the stream closes for any
 * other reason, what is left is dropped and waiting callers are let go.
 */
export class BatchWriter<Item, Message = unknown> {
  readonly #stream: Writable;
  readonly #options: BatchWriterOptions<Item, Message>;
  #items: Item[] = [];
  #itemBytes = 0;
  #scheduled = false;
  #blocked = false;
  #ending = false;
  #closed = false;
  readonly #room = new Condition();
  #sentCount = 0;

  constructor(stream: Writable, options: BatchWriterOptions<Item, Message>) {
    this.#stream = stream;
    this.#options = options;
    stream.on("drain", () => this.#goOn());
    const close = () => this.#close();
    stream.once("close", close);
    stream.once("error", close);
    // grpc-js says 'cancelled' on server streams, and no 'drain' follows on a cancelled call.
    stream.once("cancelled", close);
  }

  /** Whether pushing more now would only pile up: wait for `ready()` first. */
  get full(): boolean {
    return !this.#closed && (this.#blocked || this.#itemBytes >= batchTargetBytes);
  }

  /** Whether the stream is gone: items pushed now are dropped. */
  get closed(): boolean {
    return this.#closed;
  }

  /** How many messages the stream has sent: grows for as long as the other side takes any. */
  get sentCount(): number {
    return this.#sentCount;
  }

  /** Queues an item for the next message. Returns false when the caller should wait for `ready()` before the next one. */
  push(item: Item): boolean {
    if (this.#closed || this.#ending) return !this.#closed;
    this.#items.push(item);
    this.#itemBytes += this.#options.sizeOf(item);
    if (!this.#scheduled && !this.#blocked) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
    return !this.full;
  }

  /** Resolves when there is room again, or the stream is gone. */
  ready(): Promise<void> {
    return this.full ? this.#room.wait() : Promise.resolve();
  }

  /** Writes what was pushed now, without waiting for the end of the turn. */
  flushNow(): void {
    if (!this.#blocked) this.#flush();
  }

  /** Writes what is left, then half-closes the stream. */
  end(): void {
    this.#ending = true;
    if (!this.#blocked) this.#flush();
  }

  #flush(): void {
    if (this.#closed) return;
    let from = 0;
    while (from < this.#items.length && !this.#blocked) {
      const to = this.#batchEnd(from);
      this.#write(this.#options.toMessage(this.#items.slice(from, to)));
      from = to;
    }
    if (from > 0) {
      this.#items = this.#items.slice(from);
      this.#itemBytes = this.#items.reduce((sum, item) => sum + this.#options.sizeOf(item), 0);
    }
    if (this.#ending && this.#items.length === 0) {
      this.#stream.end();
      this.#ending = false;
      this.#close();
    } else if (!this.full) {
      this.#room.notify();
    }
  }

  #write(message: Message): void {
    const takesMore = this.#stream.write(message, this.#sent);
    this.#blocked = !takesMore || !this.#mayWait();
  }

  /** The stream has sent a message. Where it has said 'enough', 'drain' follows. */
  readonly #sent = (): void => {
    this.#sentCount += 1;
    if (this.#blocked && !this.#stream.writableNeedDrain && this.#mayWait()) this.#goOn();
  };

  /** Whether one more message may wait in the stream. */
  #mayWait(): boolean {
    const { maxUnsent } = this.#options;
    return !maxUnsent || this.#stream.writableLength < maxUnsent();
  }

  #goOn(): void {
    this.#blocked = false;
    this.#flush();
  }

  #batchEnd(from: number): number {
    const { sizeOf, alone } = this.#options;
    let bytes = 0;
    let to = from;
    for (; to < this.#items.length && to - from < maxPartsPerMessage; to++) {
      const item = this.#items[to] as Item;
      if (to > from && alone?.(item)) break;
      bytes += sizeOf(item);
      if (to > from && bytes > batchTargetBytes) break;
      if (to === from && alone?.(item)) return to + 1;
    }
    return to;
  }

  #close(): void {
    this.#closed = true;
    this.#items = [];
    this.#itemBytes = 0;
    this.#room.notify();
  }
}
