import { fairCost } from "./deficit-round-robin.js";
import type { RecordedFile } from "./recorded-load.js";

/** Recorded files that wait, first in, first out. */
export class RecordedLine {
  readonly #files: RecordedFile[] = [];
  #head = 0;

  /** What the first one counts for; 0 where there is none. */
  get firstCost(): number {
    const first = this.#files[this.#head];
    return first ? fairCost(first.sizeBytes) : 0;
  }

  push(file: RecordedFile): void {
    this.#files.push(file);
  }

  shift(): RecordedFile | undefined {
    const file = this.#files[this.#head];
    this.#head += 1;
    return file;
  }
}
