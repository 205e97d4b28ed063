import type { Content, ContentReader } from "../ports/content.js";

/** What a reader asks of the content it follows. */
export interface FollowedContent {
  /** What stands at a position, and the index of its piece, to look on from there; `undefined` while it has not come. */
  at(position: number, fromIndex: number): { content: Content | Promise<Content>; index: number } | undefined;
  /** The piece has been taken. */
  passed(index: number): void;
  closed(): void;
}

/** Reads a file from its beginning and waits, at the end of what is there, for more. */
export class FollowingReader implements ContentReader {
  readonly #content: FollowedContent;
  #position = 0;
  #index = 0;
  #interruption: string | undefined;
  #wake: (() => void) | undefined;

  constructor(content: FollowedContent) {
    this.#content = content;
  }

  /** The first byte not yet given out. */
  get position(): number {
    return this.#position;
  }

  next(): Content | Promise<Content> {
    if (this.#interruption !== undefined) return { kind: "broken", message: this.#interruption };
    const found = this.#content.at(this.#position, this.#index);
    if (!found) return new Promise<void>((resolve) => (this.#wake = resolve)).then(() => this.next());
    this.#index = found.index;
    return found.content instanceof Promise
      ? found.content.then((content) => this.#take(content))
      : this.#take(found.content);
  }

  close(): void {
    this.interrupt("the reader was closed");
    this.#content.closed();
  }

  /** There is more to read, perhaps. */
  wake(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  interrupt(message: string): void {
    this.#interruption ??= message;
    this.wake();
  }

  #take(content: Content): Content {
    if (content.kind === "chunk") {
      this.#position = content.chunk.offset + content.chunk.data.length;
      this.#content.passed(this.#index);
    }
    return content;
  }
}
