/** For how long a change is in force at least, in milliseconds. */
const leastMs = 100;

/**
 * The overload bit of a server, which may say it with every answer, and another one with each. What it says last comes into force: at once, or a moment later
 * where the last change was only just made, for each costs a line in the log and a look at the files that wait.
 */
export class OverloadBit<Why> {
  readonly #changed: (overloaded: boolean, why: Why) => void;
  #inForce = false;
  /** What was said last, where that is not in force. */
  #next: { readonly overloaded: boolean; readonly why: Why } | undefined;
  #pause: NodeJS.Timeout | undefined;
  #stopped = false;

  /** @param changed hears of each change that has come into force, and why it has */
  constructor(changed: (overloaded: boolean, why: Why) => void) {
    this.#changed = changed;
  }

  /** The server says it, as it may have before. */
  say(overloaded: boolean, why: Why): void {
    if (this.#stopped) return;
    this.#next = overloaded === this.#inForce ? undefined : { overloaded, why };
    if (!this.#pause) this.#follow();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#pause);
  }

  #follow(): void {
    const next = this.#next;
    this.#next = undefined;
    this.#pause = next && setTimeout(() => this.#follow(), leastMs);
    if (!next) return;
    this.#inForce = next.overloaded;
    this.#changed(next.overloaded, next.why);
  }
}
