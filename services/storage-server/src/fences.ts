/** Which try of a file something belongs to; higher ones win over lower ones. */
export interface Fence {
  /** How often the sender's ledger has been started. */
  readonly term: bigint;
  /** Which try it is within the ledger's life. */
  readonly attempt: number;
}

/** Below zero when `a` is older than `b`, above when it is newer; the term counts first. */
export function compareFences(a: Fence, b: Fence): number {
  if (a.term !== b.term) return a.term < b.term ? -1 : 1;
  return a.attempt - b.attempt;
}

/** A fence in words, for messages. */
export function describeFence({ term, attempt }: Fence): string {
  return `term ${term}, attempt ${attempt}`;
}

/**
 * The highest fence seen for each file that has no durable record: files that failed or never ended. Bounded: the one that was raised longest
 * ago goes first. Losing one is harmless where the sender's own ledger works; it is a second line of defence.
 */
export class Fences {
  readonly #limitCount: number;
  readonly #fences = new Map<string, Fence>();

  constructor(limitCount: number) {
    this.#limitCount = limitCount;
  }

  /** The highest fence seen for a file. */
  get(key: string): Fence | undefined {
    return this.#fences.get(key);
  }

  /** Remembers a fence, unless a higher one is known. */
  raise(key: string, fence: Fence): void {
    const known = this.#fences.get(key);
    this.#fences.delete(key);
    this.#fences.set(key, known && compareFences(known, fence) > 0 ? known : fence);
    if (this.#fences.size > this.#limitCount) {
      const [oldest] = this.#fences.keys();
      if (oldest !== undefined) this.#fences.delete(oldest);
    }
  }

  /** Forgets a file: its record on disk holds the fence from now on. */
  forget(key: string): void {
    this.#fences.delete(key);
  }
}
