/** How long an answer may take before files only wait at the server, in milliseconds. */
const targetMs = 100;
/** How many times as long as at its best an answer may take, where that is more: the server is far away, or has a slow disk. */
const tolerance = 2;
/** What a server gets before anything is known of it, in files: what one of 2,560 files a second answers in the time. Of a slow one much more than that would be seconds of work. */
const first = 256;
/** The limit does not shrink below this, in files. */
const least = 4;
/** A server is watched for this long, and this many answers, before its limit changes. */
const windowMs = 250;
const windowAnswers = 8;
/** By how much the limit changes at a time, at most. */
const maxChange = 2;
/** What is left of the limit when a file was turned away or lost. */
const backoff = 0.9;

/**
 * How many files may be on their way to one server: as many as it answers within a tenth of a second. All beyond that would only wait there,
 * while other servers have nothing to do and other clients' files come behind. By Little's law (J. D. C. Little, "A Proof for the Queuing
 * Formula: L = λW", 1961) that is its rate of answers times the time that they may take; so the limit follows the server's speed, however
 * long the line before it is already.
 *
 * It shrinks when answers take longer than they may, and grows while they do not and it is used up: weights alone decide while servers keep up.
 * What an answer takes at the least limit counts as what it takes at its best. An overload halves it, and a file turned away or lost takes a tenth of it:
 * the multiplicative decrease of D. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks", 1989.
 */
export class AdaptiveLimit {
  #limit: number;
  /** What an answer takes where nothing waits; `undefined` as long as it never mattered. */
  #bestMs: number | undefined;
  #window: Window | undefined;
  /** Since when nothing was on its way, or the last answer came with nothing else on its way. */
  #idleSinceMs: number | undefined;

  /** @param max beyond which the limit never grows, in files */
  constructor(readonly max: number) {
    this.#limit = Math.min(first, max);
  }

  /** In whole files. */
  get files(): number {
    return Math.floor(this.#limit);
  }

  /**
   * A file was stored.
   *
   * @param tookMs from when it had been sent until it was answered; `undefined` for one that does not take about as long as others
   * @param inFlight files on their way to the server, this one included
   */
  answered(tookMs: number | undefined, inFlight: number, nowMs: number): void {
    if (tookMs === undefined) {
      this.#become(this.#limit + 1);
      return;
    }
    const idleMs = Math.max(0, nowMs - tookMs - (this.#idleSinceMs ?? nowMs));
    this.#idleSinceMs = inFlight <= 1 ? nowMs : undefined;
    const window = this.#window;
    // The first answer begins a window, and so does the next one when the clock was set back.
    if (!window || nowMs < window.sinceMs) {
      this.#window = newWindow(nowMs);
      return;
    }
    window.answers += 1;
    window.tookMs += tookMs;
    window.idleMs += idleMs;
    window.inFlight = Math.max(window.inFlight, inFlight);
    const busyMs = nowMs - window.sinceMs - window.idleMs;
    if (busyMs < windowMs || window.answers < windowAnswers) return;
    this.#window = newWindow(nowMs);
    this.#learn(window.tookMs / window.answers, window.answers / busyMs, window.inFlight);
  }

  /** A file was turned away, or its answer was lost. */
  failed(): void {
    this.#become(this.#limit * backoff);
  }

  /** The server says that it is overloaded, and did not before. */
  overloaded(): void {
    const used = this.#window?.inFlight ?? this.#limit;
    this.#become(Math.min(this.#limit, used) / maxChange);
    this.#window = undefined;
  }

  #learn(tookMs: number, answersPerMs: number, inFlight: number): void {
    // What was sent while the limit was higher has waited longer; the rate does not know of it.
    const leastMs = Math.min(tookMs, inFlight / answersPerMs);
    const atLeast = inFlight <= this.files && this.#limit <= Math.min(least, this.max);
    if (atLeast || leastMs < (this.#bestMs ?? 0)) this.#bestMs = leastMs;
    const allowedMs = Math.max(targetMs, tolerance * (this.#bestMs ?? 0));
    const fits = answersPerMs * allowedMs;
    // A limit that is not made use of says nothing.
    const used = Math.min(this.#limit, inFlight);
    if (tookMs > allowedMs) this.#become(Math.max(Math.min(fits, this.#limit), used / maxChange));
    else if (inFlight >= this.files) this.#become(Math.min(Math.max(fits, this.#limit), this.#limit * maxChange));
  }

  #become(limit: number): void {
    this.#limit = Math.max(Math.min(least, this.max), Math.min(this.max, limit));
  }
}

/** What was seen of a server since `sinceMs`, Unix time. */
interface Window {
  readonly sinceMs: number;
  answers: number;
  /** How long they took in all. */
  tookMs: number;
  /** How long the server had nothing to do. */
  idleMs: number;
  /** How many files were on their way at most. */
  inFlight: number;
}

function newWindow(sinceMs: number): Window {
  return { sinceMs, answers: 0, tookMs: 0, idleMs: 0, inFlight: 0 };
}
