import type { Rejection } from "../domain/errors.js";
import type { UploadRecord } from "./upload-record.js";

/** How many small uploads are remembered whose clients have left before the end. Each takes some 10 KiB of memory. */
const maxLeftCount = 4_096;

/** Why one is not remembered any more. */
export const tooManyLeft: Rejection = {
  reason: "QUEUE_FULL",
  message: "its client left, and too many others have left theirs since; it must come again from its first byte",
};

/**
 * Small uploads whose clients have left before the end, in the order in which they did. Of a large one much would have to be sent again; of a small one nearly nothing, but
 * whoever begins a million of them and leaves would take the memory for as long as unfinished uploads are kept.
 */
export class LeftUploads {
  readonly #records = new Set<UploadRecord>();

  /** A client has left this one. @returns the one that was left first, where there are too many */
  add(record: UploadRecord): UploadRecord | undefined {
    this.#records.delete(record);
    this.#records.add(record);
    if (this.#records.size <= maxLeftCount) return undefined;
    // Those that somebody went on with since need not be counted, nor what a server may hold.
    for (const first of this.#records) {
      this.#records.delete(first);
      if (!first.final && !first.complete && !first.sender && first.intents.length === 0) return first;
    }
    return undefined;
  }
}
