import { type BigIntStats, statSync } from "node:fs";
import { stat } from "node:fs/promises";

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
  #stopped = false;

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
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      // What cannot be looked at has a fingerprint, too: nothing is thrown.
      void this.#look().then(() => this.start());
    }, this.#times.lookMs).unref();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    // Not as at the start: a file system that does not answer must not hold up the files.
    const now = await stat(this.#file, { bigint: true }).then(asText, problemAsText);
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
}

/** Another one whenever a file may have other bytes; what cannot be looked at has one, too. */
export function fingerprint(file: string): string {
  try {
    return asText(statSync(file, { bigint: true }));
  } catch (error) {
    return problemAsText(error);
  }
}

function asText({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join();
}

function problemAsText(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "unreadable";
}
