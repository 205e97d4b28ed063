import { channelOptions } from "@bilancia/proto/channel-options";
import { HealthClient } from "@bilancia/proto/health";
import { StorageClient } from "@bilancia/proto/services";
import { SaveStream, type SaveStreamEvents } from "./save-stream.js";
import { plainText } from "./server-security.js";

/** Messages of large files, a quarter of a MiB each, that wait to be sent to one server: the files share them, and each has one at least. */
const maxUnsentOfLarge = 16;

/**
 * The connection to one storage server: a channel, one save stream that all small files share, and one of its own for each large
 * file, so that it holds nobody up.
 */
export class StorageLink {
  readonly storage: StorageClient;
  readonly health: HealthClient;
  readonly #events: SaveStreamEvents;
  readonly #streams = new Set<SaveStream>();
  #shared: SaveStream | undefined;
  /** Streams for small files that have been replaced. */
  readonly #left = new Set<SaveStream>();

  constructor(address: string, events: SaveStreamEvents, { credentials, options } = plainText) {
    this.#events = events;
    this.storage = new StorageClient(address, credentials, { ...channelOptions, ...options });
    // Probes have a connection of their own: they must not queue behind file data.
    this.health = new HealthClient(address, credentials, {
      ...channelOptions,
      ...options,
      "grpc.use_local_subchannel_pool": 1,
    });
  }

  /** The stream for small files; opened anew after it broke, or an answer on it is late. What else is under way on such a one is still answered there. */
  get shared(): SaveStream {
    const shared = this.#shared;
    if (shared && !shared.closed) {
      if (!shared.late) return shared;
      shared.end();
      this.#left.add(shared);
    }
    this.#shared = this.#open();
    return this.#shared;
  }

  /** A stream for one large file. */
  open(): SaveStream {
    return this.#open(() => Math.max(1, Math.floor(maxUnsentOfLarge / this.#streams.size)));
  }

  #open(maxUnsent?: () => number): SaveStream {
    for (const stream of this.#streams) if (stream.closed) this.#streams.delete(stream);
    const stream = new SaveStream(this.storage, this.#events, maxUnsent);
    this.#streams.add(stream);
    return stream;
  }

  /** Gives up on answers that do not come, and on streams of which nothing is taken. */
  expire(timeoutMs: number): void {
    for (const stream of this.#streams) stream.expire(timeoutMs);
    for (const stream of this.#left) {
      if (!stream.idle) continue;
      stream.letGo();
      this.#left.delete(stream);
    }
  }

  /** Breaks all streams off: what has not been answered is lost. The next use opens new ones. */
  reset(): void {
    for (const stream of this.#streams) stream.cancel();
    this.#streams.clear();
    this.#left.clear();
    this.#shared = undefined;
  }

  close(): void {
    this.reset();
    this.storage.close();
    this.health.close();
  }
}
