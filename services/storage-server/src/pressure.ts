import { Condition } from "@bilancia/proto/condition";

/** Bytes held in memory, against a limit. Whoever takes gives back; taking over the limit is possible, reading on is not. */
export class ByteBudget {
  readonly #limitBytes: number;
  readonly #changed = new Condition();
  #takenBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get full(): boolean {
    return this.#takenBytes >= this.#limitBytes;
  }

  take(bytes: number): void {
    this.#takenBytes += bytes;
  }

  give(bytes: number): void {
    this.#takenBytes -= bytes;
    if (!this.full) this.#changed.notify();
  }

  /** Resolves when there is room. */
  async room(): Promise<void> {
    while (this.full) await this.#changed.wait();
  }
}

/** Runs a limited number of tasks at once; the others wait in the order in which they came. */
export class Slots {
  readonly #limitCount: number;
  readonly #changed = new Condition();
  readonly #queue: (() => void)[] = [];
  #runningCount = 0;

  constructor(limitCount: number) {
    this.#limitCount = limitCount;
  }

  /** Whether as many tasks wait as run. */
  get full(): boolean {
    return this.#queue.length >= this.#limitCount;
  }

  /** Resolves when fewer tasks wait than run. */
  async room(): Promise<void> {
    while (this.full) await this.#changed.wait();
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#runningCount >= this.#limitCount) await new Promise<void>((resolve) => this.#queue.push(resolve));
    else this.#runningCount++;
    try {
      return await task();
    } finally {
      // The slot goes straight to the next in the queue, so that nobody can slip in between.
      const next = this.#queue.shift();
      if (next) next();
      else this.#runningCount--;
      if (!this.full) this.#changed.notify();
    }
  }
}
