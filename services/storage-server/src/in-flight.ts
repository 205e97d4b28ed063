/** What is in progress: files begun and not yet answered, and the bytes received of them. Plain counters, read from outside. */
export class InFlight {
  readonly #limitCount: number;
  #filesCount = 0;
  #receivedBytes = 0;
  #onIdle: (() => void)[] = [];
  /** Called after the number of files has changed. */
  onChange: () => void = () => {};

  /** @param limitCount from how many files on no more are taken */
  constructor(limitCount: number) {
    this.#limitCount = limitCount;
  }

  get filesCount(): number {
    return this.#filesCount;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Whether no more files can be taken. */
  get full(): boolean {
    return this.#filesCount >= this.#limitCount;
  }

  /** A file has begun. Whoever calls this calls `end` once. */
  begin(): void {
    this.#filesCount++;
    this.onChange();
  }

  /** Bytes of a file have arrived. */
  received(bytes: number): void {
    this.#receivedBytes += bytes;
  }

  /** A file is answered or dropped. */
  end(receivedBytes: number): void {
    this.#filesCount--;
    this.#receivedBytes -= receivedBytes;
    this.onChange();
    if (this.#filesCount === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  /** Resolves when no file is in progress. */
  async idle(): Promise<void> {
    if (this.#filesCount > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }
}
