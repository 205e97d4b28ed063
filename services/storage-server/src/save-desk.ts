import type { Logger } from "pino";
import type { DocumentThread } from "./document-thread.js";
import type { SizeLimits } from "./file-header.js";
import type { FileRegistry } from "./file-registry.js";
import type { FileStore } from "./file-store.js";
import type { InFlight } from "./in-flight.js";
import type { ByteBudget, Slots } from "./pressure.js";

/** What all files and streams of one server share. */
export interface SaveDesk {
  readonly store: FileStore;
  readonly registry: FileRegistry;
  readonly inFlight: InFlight;
  readonly limits: SizeLimits;
  /** Bytes that wait to be written, over all streams. */
  readonly buffered: ByteBudget;
  /** Small files being written. */
  readonly writes: Slots;
  /** Large documents being counted; each is in memory as a whole meanwhile. */
  readonly documents: Slots;
  /** Reads them. */
  readonly documentThread: DocumentThread;
  /** How long a text document takes before it is acknowledged, in milliseconds for each character. */
  readonly simulateWorkMsPerChar: number;
  readonly log: Logger;
}
