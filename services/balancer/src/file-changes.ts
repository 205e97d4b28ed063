import { stat } from "node:fs/promises";

/** How often the file is looked at, and how long it must have been left alone before it is taken as whole, in milliseconds. */
export const fileChangeTimes = { lookMs: 250, quietMs: 1_000 } as const;

/**
 * Notices that a file is another one than before: written to, replaced by a rename, or gone. It is looked at by name again and again,
 * which sees what editors, configuration tools, symbolic links and network file systems do alike. Whoever makes it calls `start` and `stop`.
 */
export class FileChanges {
  readonly #file: string;
  readonly #onChange: () => void;
  readonly #times: { readonly lookMs: number; readonly quietMs: number };
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** As it was told last, and as it was seen last, and since when it has been so. */
  #told = "";
  #seen = "";
  #seenSinceMs = 0;

  /** @param onChange called once for each change, when the file has been left alone for a while */
  constructor(file: string, onChange: () => void, times: { lookMs: number; quietMs: number } = fileChangeTimes) {
    this.#file = file;
    this.#onChange = onChange;
    this.#times = times;
  }

  /** From now on changes are told. */
  async start(): Promise<void> {
    this.#told = await this.#fingerprint();
    this.#seen = this.#told;
    this.#lookLater();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #lookLater(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      // What cannot be looked at has a fingerprint, too: nothing is thrown.
      void this.#look().then(() => this.#lookLater());
    }, this.#times.lookMs).unref();
  }

  async #look(): Promise<void> {
    const now = await this.#fingerprint();
    if (this.#stopped) return;
    if (now !== this.#seen) {
      this.#seen = now;
      this.#seenSinceMs = performance.now();
      return;
    }
    if (now === this.#told || performance.now() - this.#seenSinceMs < this.#times.quietMs) return;
    this.#told = now;
    this.#onChange();
  }

  /** Another one whenever the file may have other bytes. */
  async #fingerprint(): Promise<string> {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(this.#file, { bigint: true });
      return [dev, ino, size, mtimeNs, ctimeNs].join();
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? "unreadable";
    }
  }
}
