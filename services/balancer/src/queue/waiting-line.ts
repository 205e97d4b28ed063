import { NumberFifo } from "./number-fifo.js";
import type { UploadRecord } from "./upload-record.js";

/** Waiting uploads beyond this many are known to the ledger alone. */
const maxWaitingInMemory = 2_000;

/** The order in which uploads go out: those that have been tried before, then first in, first out. It holds their numbers only. */
export class WaitingLine {
  readonly #returned = new NumberFifo();
  readonly #fresh = new NumberFifo();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Called when `next` may have something again. */
  onReady: () => void = () => {};

  /** Whether so many wait that the last of them need not stay in memory. */
  get long(): boolean {
    return this.#fresh.length > maxWaitingInMemory;
  }

  next(): bigint | undefined {
    return this.#returned.shift() ?? this.#fresh.shift();
  }

  /** Adds an upload at the end, unless it stands in line or is under way. */
  join(record: UploadRecord): void {
    this.#add(record, this.#fresh);
  }

  /** Adds an upload ahead of those never tried. */
  rejoin(record: UploadRecord): void {
    this.#add(record, this.#returned);
  }

  /** Adds an upload at the end that only the ledger knows. */
  joinUnread(requestNumber: bigint): void {
    this.#fresh.push(requestNumber);
  }

  /** Takes an upload back that was under way, ahead of those never tried. */
  comeBack(record: UploadRecord, delayMs: number): void {
    const back = () => {
      record.offered = false;
      this.rejoin(record);
    };
    if (delayMs <= 0) {
      back();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!record.final) back();
    }, delayMs);
    this.#timers.add(timer);
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #add(record: UploadRecord, line: NumberFifo): void {
    if (record.offered) return;
    record.offered = true;
    line.push(record.requestNumber);
    this.onReady();
  }
}
