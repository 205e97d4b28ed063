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
  /** For how long nothing may come of a file in its turn while others wait, in milliseconds. */
  readonly silentMs: number;
}

interface Turn {
  bytes: number;
  lastMs: number;
}

/**
 * Lets a limited number of large files be read at a time, in turns, so that a thousand clients do not each have a message of theirs in memory.
 * Where there are no more files than turns nobody ever waits, and no time is taken.
 */
export class ReadTurns {
  readonly #limits: TurnLimits;
  readonly #nowMs: () => number;
  readonly #turns = new Map<Reader, Turn>();
  readonly #waiting = new Set<Reader>();
  #timer: NodeJS.Timeout | undefined;
  #giving = false;

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
    this.#waiting.add(reader);
    this.#timer ??= setInterval(() => this.#endSilent(), this.#limits.silentMs / 2).unref();
    return false;
  }

  /** Notes what came of a file in its turn; the turn may be over with it. */
  used(reader: Reader, bytes: number): void {
    const turn = this.#turns.get(reader);
    if (!turn) return;
    turn.bytes += bytes;
    turn.lastMs = this.#nowMs();
    if (this.#waiting.size > 0 && turn.bytes >= this.#limits.maxBytes) this.#end(reader);
  }

  /** Gives up a turn, or stops waiting for one. */
  leave(reader: Reader): void {
    this.#waiting.delete(reader);
    if (this.#turns.delete(reader)) this.#next();
  }

  #begin(reader: Reader): void {
    this.#turns.set(reader, { bytes: 0, lastMs: this.#nowMs() });
  }

  #end(reader: Reader): void {
    this.#turns.delete(reader);
    this.#waiting.add(reader);
    reader.turnOver();
    this.#next();
  }

  #next(): void {
    // Whoever gets a turn may give it up at once.
    if (this.#giving) return;
    this.#giving = true;
    while (this.#turns.size < this.#limits.maxCount) {
      const [reader] = this.#waiting;
      if (!reader) break;
      this.#waiting.delete(reader);
      this.#begin(reader);
      reader.turn();
    }
    this.#giving = false;
    if (this.#waiting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #endSilent(): void {
    const silentSinceMs = this.#nowMs() - this.#limits.silentMs;
    for (const [reader, turn] of [...this.#turns])
      if (turn.lastMs <= silentSinceMs && this.#waiting.size > 0) this.#end(reader);
  }
}
