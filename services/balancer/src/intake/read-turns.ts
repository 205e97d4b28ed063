/** Somebody who reads a large file from its client. */
export interface Reader {
  /** Its turn has come: it may read. */
  turn(): void;
  /** Its turn is over: it reads nothing before the next one. */
  turnOver(): void;
}

/** How large files take turns. */
export interface TurnLimits {
  /** Files that are read at a time. */
  readonly maxCount: number;
  /** What a file may take in one turn while others wait, in bytes. */
  readonly maxBytes: number;
  /** For how long less than `leastBytes` may come of a file in its turn while others wait, in milliseconds. */
  readonly slowMs: number;
  readonly leastBytes: number;
}

interface Turn {
  bytes: number;
  /** Since when less than `leastBytes` have come, and how many. */
  lastMs: number;
  lastBytes: number;
}

/**
 * Lets a limited number of large files be read at a time, in turns, so that a thousand clients do not each have a message of theirs in memory:
 * who waits for the first turn has sent a header only, and who waits for another one may have sent a part of a message. So turns are long. Who
 * sends slowly, be it a byte now and then, does not hold up the others: after one slow turn a file has another one only while nobody else wants it.
 *
 * Where there are no more files than turns nobody ever waits, and no time is taken.
 */
export class ReadTurns {
  readonly #limits: TurnLimits;
  readonly #nowMs: () => number;
  readonly #turns = new Map<Reader, Turn>();
  readonly #waiting = new Set<Reader>();
  /** Those of whom too little came in their last turn, and which of them wait. */
  readonly #slow = new Set<Reader>();
  readonly #slowWaiting = new Set<Reader>();
  #timer: NodeJS.Timeout | undefined;
  #giving = false;

  /** @param nowMs a clock that is never set */
  constructor(limits: TurnLimits, nowMs: () => number) {
    this.#limits = limits;
    this.#nowMs = nowMs;
  }

  /** Asks for a turn. Returns whether it is now; if not, `turn` is called later. */
  take(reader: Reader): boolean {
    if (this.#turns.has(reader)) return true;
    if (this.#turns.size < this.#limits.maxCount) {
      this.#begin(reader);
      return true;
    }
    const slow = this.#slow.has(reader) ? undefined : [...this.#turns.keys()].find((other) => this.#slow.has(other));
    if (slow) {
      this.#begin(reader);
      this.#end(slow);
      return true;
    }
    this.#wait(reader);
    this.#timer ??= setInterval(() => this.#endSlow(), this.#limits.slowMs / 2).unref();
    return false;
  }

  /** Notes what came of a file in its turn; the turn may be over with it. */
  used(reader: Reader, bytes: number): void {
    const turn = this.#turns.get(reader);
    if (!turn) return;
    turn.bytes += bytes;
    turn.lastBytes += bytes;
    if (turn.lastBytes >= this.#limits.leastBytes) {
      turn.lastMs = this.#nowMs();
      turn.lastBytes = 0;
    }
    if (turn.bytes < this.#limits.maxBytes) return;
    this.#slow.delete(reader);
    if (this.#anyWaits) this.#end(reader);
  }

  /** Gives up a turn, or stops waiting for one. */
  leave(reader: Reader): void {
    for (const readers of [this.#waiting, this.#slow, this.#slowWaiting]) readers.delete(reader);
    if (this.#turns.delete(reader)) this.#next();
  }

  get #anyWaits(): boolean {
    return this.#waiting.size + this.#slowWaiting.size > 0;
  }

  #wait(reader: Reader): void {
    (this.#slow.has(reader) ? this.#slowWaiting : this.#waiting).add(reader);
  }

  #begin(reader: Reader): void {
    this.#turns.set(reader, { bytes: 0, lastMs: this.#nowMs(), lastBytes: 0 });
  }

  #end(reader: Reader): void {
    this.#turns.delete(reader);
    this.#wait(reader);
    reader.turnOver();
    this.#next();
  }

  #next(): void {
    // Whoever gets a turn may give it up at once.
    if (this.#giving) return;
    this.#giving = true;
    while (this.#turns.size < this.#limits.maxCount) {
      const line = this.#waiting.size > 0 ? this.#waiting : this.#slowWaiting;
      const [reader] = line;
      if (!reader) break;
      line.delete(reader);
      this.#begin(reader);
      reader.turn();
    }
    this.#giving = false;
    if (this.#anyWaits) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #endSlow(): void {
    const slowSinceMs = this.#nowMs() - this.#limits.slowMs;
    for (const [reader, turn] of [...this.#turns]) {
      if (turn.lastMs > slowSinceMs || !this.#anyWaits) continue;
      this.#slow.add(reader);
      this.#end(reader);
    }
  }
}
