import { statSync } from "node:fs";

/** How often the file is looked at, and how long it must have been left alone before it is taken as whole, in milliseconds. */
export const fileChangeTimes = { lookMs: 250, quietMs: 1_000 } as const;

/**
 * Notices that a file is another one than before: written to, replaced by a rename, or gone. It is looked at by name again and again,
 * which sees what editors, configuration tools, symbolic links and network file systems do alike. Whoever makes it calls `start` and `stop`.
 */
export class FileChanges {
  readonly #file: string;
  /** As it was told last, and as it was seen last, and since when it has been so. */
  #told: string;
  #seen: string;
  #seenSinceMs = 0;
  readonly #onChange: () => void;
  readonly #times: { readonly lookMs: number; readonly quietMs: number };
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param known its fingerprint when it was read
   * @param onChange called once for each change since then, when the file has been left alone for a while
   */
  constructor(
    file: string,
    known: string,
    onChange: () => void,
    times: { lookMs: number; quietMs: number } = fileChangeTimes,
  ) {
    this.#file = file;
    this.#told = known;
    this.#seen = known;
    this.#onChange = onChange;
    this.#times = times;
  }

  /** From now on changes are told. */
  start(): void {
    this.#timer = setInterval(() => this.#look(), this.#times.lookMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = fingerprint(this.#file);
    if (now !== this.#seen) {
      this.#seen = now;
      this.#seenSinceMs = performance.now();
      return;
    }
    if (now === this.#told || performance.now() - this.#seenSinceMs < this.#times.quietMs) return;
    this.#told = now;
    this.#onChange();
  }
}

/** Another one whenever a file may have other bytes; what cannot be looked at has one, too. */
export function fingerprint(file: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unreadable";
  }
}
