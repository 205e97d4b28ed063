import type { QueryUploadResponse } from "@bilancia/proto/gen/balancer";
import { fromDuration } from "@bilancia/proto/time";
import type { Upload } from "./upload.js";
import type { UploadPlace } from "./upload-types.js";

/** How often the balancer is asked, in milliseconds. */
const askEveryMs = 1_000;

/** What a watch works with. */
export interface PlaceWatchParts {
  /** The file that has waited longest for its answer, of those that are sent. */
  readonly longestWaiting: () => Upload | undefined;
  /** Asks the balancer; `undefined` for an upload that it does not know. */
  readonly ask: (uploadId: string) => Promise<QueryUploadResponse | undefined>;
  /** `undefined`: it does not stand in line, or nobody knows. */
  readonly tell: (place: UploadPlace | undefined) => void;
}

/** Asks the balancer now and then where the file stands in line that has waited longest. Whoever starts it stops it. */
export class PlaceWatch {
  readonly #parts: PlaceWatchParts;
  #timer: NodeJS.Timeout | undefined;
  #asking = false;

  constructor(parts: PlaceWatchParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#look(), askEveryMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #look(): Promise<void> {
    const upload = this.#parts.longestWaiting();
    if (!upload || this.#asking) return;
    this.#asking = true;
    // A question that fails is no news: whether the connection holds is the upload's own business.
    const answer = await this.#parts.ask(upload.uploadId).catch(() => undefined);
    this.#asking = false;
    if (this.#timer === undefined) return;
    const place = answer?.place;
    this.#parts.tell(
      place && {
        name: upload.source.name,
        position: Number(place.position),
        bytesAhead: Number(place.bytesAhead),
        startsInMs: place.startsIn && fromDuration(place.startsIn),
      },
    );
  }
}
