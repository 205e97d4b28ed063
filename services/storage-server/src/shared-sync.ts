/**
 * A flush that many share (group commit): callers that come while one runs are served together by the next one. One that has already begun
 * may have missed what a caller has just done, so it is never enough.
 */
export class SharedSync {
  readonly #sync: () => Promise<void>;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  /** Resolves when everything done before the call is flushed. @throws what the flush threw */
  flush(): Promise<void> {
    this.#next ??= this.#after(this.#running);
    return this.#next;
  }

  async #after(running: Promise<void>): Promise<void> {
    // Its callers hear of its failure; this one makes its own attempt.
    await running.catch(() => {});
    this.#running = this.#next ?? Promise.resolve();
    this.#next = undefined;
    await this.#sync();
  }
}
