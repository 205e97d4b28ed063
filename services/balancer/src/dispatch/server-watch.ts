import type { LoadResponse, WatchLoadResponse } from "@bilancia/proto/gen/storage";
import type { HealthCheckResponse } from "@bilancia/proto/health";
import { type ClientReadableStream, type ServiceError, status } from "@grpc/grpc-js";
import type { StorageLink } from "./storage-link.js";

/** What a server pushes. */
export interface ServerWatchEvents {
  /** Its load; at once, and whenever the overload bit changes. */
  load(load: LoadResponse): void;
  /** It does not serve any more, or the stream that said that it does is lost. */
  suspicious(): void;
}

/**
 * Two streams on which a server may tell news before it is asked: `Health/Watch` and `Storage/WatchLoad`. Neither is required of a server, and
 * neither says that it still lives: that is what the probe is for.
 */
export class ServerWatch {
  readonly #link: StorageLink;
  readonly #events: ServerWatchEvents;
  readonly #unsupported = new Set<"health" | "load">();
  #health: ClientReadableStream<HealthCheckResponse> | undefined;
  #load: ClientReadableStream<WatchLoadResponse> | undefined;
  #serving = false;
  /**
   * A stream was lost that nobody has closed, or said that the server does not serve: a server that ends each at once, or says something else when it
   * is asked, must not be asked for more of them at once.
   */
  #pausing = false;

  constructor(link: StorageLink, events: ServerWatchEvents) {
    this.#link = link;
    this.#events = events;
  }

  /** Whether the server has said that it serves, and would say so if that changed. */
  get serving(): boolean {
    return this.#serving;
  }

  /**
   * Opens what is not open, of a server that serves.
   *
   * @param tellsLoad whether the server has announced `WatchLoad`. `Health/Watch` is tried: the health checking protocol has no way to announce it
   */
  open(tellsLoad: boolean): void {
    const pausing = this.#pausing;
    this.#pausing = false;
    if (pausing) return;
    if (!this.#health && !this.#unsupported.has("health")) this.#watchHealth();
    if (tellsLoad && !this.#load && !this.#unsupported.has("load")) this.#watchLoad();
  }

  /** Closes the streams. What the server does not have is asked for anew with the next `open`: it may be another version then. */
  close(): void {
    this.#endHealth();
    this.#pausing = false;
    const load = this.#load;
    this.#load = undefined;
    load?.cancel();
    this.#unsupported.clear();
  }

  #watchHealth(): void {
    const stream = this.#link.health.watch({ service: "" });
    this.#health = stream;
    stream.on("data", ({ status: said }) => {
      if (this.#health !== stream) return;
      this.#serving = said === "SERVING";
      if (this.#serving) return;
      // A server that stops must not be kept waiting for this stream. Until it serves again it is asked.
      this.#endHealth();
      this.#pausing = true;
      this.#events.suspicious();
    });
    stream.on("error", (error: ServiceError) => this.#healthEnded(stream, error.code));
    stream.on("end", () => this.#healthEnded(stream, status.OK));
  }

  #healthEnded(stream: ClientReadableStream<HealthCheckResponse>, code: status): void {
    if (this.#health !== stream) return;
    this.#health = undefined;
    if (code === status.UNIMPLEMENTED) this.#unsupported.add("health");
    else this.#pausing = true;
    const wasServing = this.#serving;
    this.#serving = false;
    if (wasServing) this.#events.suspicious();
  }

  #endHealth(): void {
    const stream = this.#health;
    this.#health = undefined;
    this.#serving = false;
    stream?.cancel();
  }

  #watchLoad(): void {
    const stream = this.#link.storage.watchLoad({});
    this.#load = stream;
    stream.on("data", ({ load }) => {
      if (this.#load === stream && load) this.#events.load(load);
    });
    const ended = (code: status) => {
      if (this.#load !== stream) return;
      this.#load = undefined;
      if (code === status.UNIMPLEMENTED) this.#unsupported.add("load");
      else this.#pausing = true;
    };
    stream.on("error", (error: ServiceError) => ended(error.code));
    stream.on("end", () => ended(status.OK));
  }
}
