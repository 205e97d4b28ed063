/** How much of a file is written before it is flushed on the way, in bytes. */
export const earlyFlushBytes = 16 * 1024 * 1024;

/** Who flushes early takes turns: a flush keeps a thread of Node's few, and writes need them too. */
export class EarlyFlushTurn {
  isTaken = false;
}

/**
 * Flushes a file while it is still being written, so that little is left for the flush at its end: the disk works while bytes come, not after
 * them. Nobody is held up by it: where another file is being flushed, this one goes on without.
 */
export class EarlyFlush {
  readonly #turn: EarlyFlushTurn;
  readonly #flush: () => Promise<void>;
  #unflushedBytes = 0;
  #flushing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  /** @param flush flushes what has been written of the file; a failure is final */
  constructor(turn: EarlyFlushTurn, flush: () => Promise<void>) {
    this.#turn = turn;
    this.#flush = flush;
  }

  /** Notes that bytes have been written. */
  wrote(bytes: number): void {
    this.#unflushedBytes += bytes;
    if (this.#unflushedBytes < earlyFlushBytes || this.#turn.isTaken || this.#failure) return;
    this.#unflushedBytes = 0;
    this.#turn.isTaken = true;
    this.#flushing = this.#run();
  }

  /** Resolves when no flush is under way. @throws whatever a flush has failed with: a later one does not hear of that error again */
  async end(): Promise<void> {
    await this.#flushing;
    if (this.#failure) throw this.#failure.error;
  }

  async #run(): Promise<void> {
    try {
      await this.#flush();
    } catch (error) {
      this.#failure = { error };
    } finally {
      this.#turn.isTaken = false;
    }
  }
}
