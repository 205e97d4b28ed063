/** When a server that answers its probes is left alone nevertheless, and for how long. */
export interface EjectionPolicy {
  /** Attempts in a row that failed; 0 for never. */
  readonly consecutiveFailures: number;
  /** Attempts within the window that failed, in percent; 0 for never. */
  readonly errorPercent: number;
  /** Attempts within the window below which the rate says nothing. */
  readonly errorMinFiles: number;
  /** Times within the window that it became unhealthy: it flaps. 0 for never. */
  readonly falls: number;
  readonly windowMs: number;
  /** How long the first time; it doubles with each ejection that follows soon. */
  readonly baseMs: number;
  readonly maxMs: number;
  /** How much of the pool may be out at once (`isOut`), in percent. */
  readonly maxPoolPercent: number;
}

/** An ejection in force. Times are Unix times; `reason` is for people. */
export interface Ejection {
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly reason: string;
}

/**
 * How one server has conducted itself of late: passive health checking, from what happens to files rather than to probes. After Envoy's outlier
 * detection (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier): failures in a row, and the rate of failures
 * over a window with enough attempts in it; and added to them how often it was found unhealthy, which damps flapping.
 */
export class Conduct {
  readonly #policy: EjectionPolicy;
  #failuresInRow = 0;
  #windowSinceMs = 0;
  #attempts = 0;
  #failures = 0;
  /** When it became unhealthy, within the window. */
  #falls: number[] = [];
  /** Ejections that are remembered; each calm window forgets one. */
  #ejections = 0;
  #ejectedUntilMs = 0;

  constructor(policy: EjectionPolicy) {
    this.#policy = policy;
  }

  /** An attempt succeeded. */
  succeeded(nowMs: number): void {
    this.#failuresInRow = 0;
    this.#count(nowMs);
  }

  /** An attempt failed. Returns why the server should be ejected, if it should. */
  failed(nowMs: number): string | undefined {
    const { consecutiveFailures, errorPercent, errorMinFiles } = this.#policy;
    this.#failuresInRow += 1;
    this.#count(nowMs);
    this.#failures += 1;
    if (consecutiveFailures > 0 && this.#failuresInRow >= consecutiveFailures)
      return `${this.#failuresInRow} attempts failed in a row`;
    const percent = (100 * this.#failures) / this.#attempts;
    if (errorPercent > 0 && this.#attempts >= errorMinFiles && percent >= errorPercent)
      return `${this.#failures} of ${this.#attempts} attempts failed`;
    return undefined;
  }

  /** It became unhealthy. Returns why it should be ejected, if it should. */
  fell(nowMs: number): string | undefined {
    const { falls, windowMs } = this.#policy;
    this.#falls = [...this.#falls.filter((fellMs) => nowMs - fellMs < windowMs), nowMs];
    this.#forgetAttempts(nowMs);
    if (falls === 0 || this.#falls.length < falls) return undefined;
    return `flapping: unhealthy ${this.#falls.length} times within ${windowMs} ms`;
  }

  /** Ejects it: begins anew with counting, and says until when. */
  eject(nowMs: number, reason: string): Ejection {
    const { baseMs, maxMs, windowMs } = this.#policy;
    const calmWindows = Math.max(0, Math.floor((nowMs - this.#ejectedUntilMs) / windowMs));
    this.#ejections = Math.max(0, this.#ejections - calmWindows) + 1;
    this.#ejectedUntilMs = nowMs + Math.min(maxMs, baseMs * 2 ** (this.#ejections - 1));
    this.#falls = [];
    this.#forgetAttempts(nowMs);
    return { sinceMs: nowMs, untilMs: this.#ejectedUntilMs, reason };
  }

  #count(nowMs: number): void {
    if (nowMs - this.#windowSinceMs >= this.#policy.windowMs) {
      this.#windowSinceMs = nowMs;
      this.#attempts = 0;
      this.#failures = 0;
    }
    this.#attempts += 1;
  }

  #forgetAttempts(nowMs: number): void {
    this.#failuresInRow = 0;
    this.#windowSinceMs = nowMs;
    this.#attempts = 0;
    this.#failures = 0;
  }
}

/**
 * Whether one more server may be ejected: never so many that the rest could not do the work.
 *
 * @param outCount servers that are out already, not counting the one in question
 */
export function mayEject(outCount: number, poolSize: number, { maxPoolPercent }: EjectionPolicy): boolean {
  return outCount + 1 <= Math.floor((poolSize * maxPoolPercent) / 100);
}
