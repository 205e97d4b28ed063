import { openSync, writeSync } from "node:fs";

/**
 * What a recorded program says of its files, by their request numbers: that it begins something, and that it has been told that it is done. From then on it must survive.
 */
export type Mark =
  | {
      readonly kind: "sending";
      readonly number: number;
      readonly id: string;
      readonly name: string;
      readonly sha256: string;
    }
  /** A storage server has answered `saved`, or the queue has said `queued`. */
  | { readonly kind: "acknowledged"; readonly number: number }
  | { readonly kind: "discarding" | "discarded"; readonly number: number }
  /** The queue has made its intent durable: from now on a server may hold the file. */
  | { readonly kind: "intended"; readonly number: number; readonly server: string }
  /** The queue has been told how an attempt ended, or an upload: what it keeps of it may change from now on. */
  | { readonly kind: "ended"; readonly number: number };

/** Writes marks behind those of earlier flows, each at once. */
export class Marks {
  readonly #fd: number;

  constructor(file: string) {
    this.#fd = openSync(file, "a");
  }

  put(mark: Mark): void {
    writeSync(this.#fd, `${JSON.stringify(mark)}\n`);
  }
}

/** Reads what `Marks` wrote. */
export function parseMarks(lines: readonly string[]): Mark[] {
  return lines.map((line) => JSON.parse(line) as Mark);
}
