import { existsSync, mkdirSync, openSync, write, writeSync } from "node:fs";
import path from "node:path";
import type { TextSink } from "./gathered-lines.js";
import { errorCode } from "./system-error.js";

/** When a reader that is slow is tried again, and how long the end of the process waits for it, in milliseconds. */
const retryMs = 20;
const endMs = 1_000;
/** Characters that wait for it at most; what comes on top is dropped. */
const maxWaitingLength = 8 * 1024 * 1024;

/** One listener for all, since a process may have many logs. */
const sinks = new Set<LogSink>();

/**
 * Writes the text of a log to a file or a pipe, in the background, and what is left when the process ends. A log that cannot be written, because its disk is full for
 * example, or not as fast as it comes, neither ends the process nor holds it up: lines are dropped, standard error says so once, and it goes on as soon as it can.
 */
export class LogSink implements TextSink {
  readonly #fd: number;
  readonly #name: string;
  #texts: string[] = [];
  #waitingLength = 0;
  /** What its reader was too slow for. */
  #rest: Buffer | undefined;
  #isWriting = false;
  #isFailing = false;
  /** Whether a line was written in part, and the rest of it was dropped. */
  #isTorn = false;

  /** @param name what it is called on standard error */
  constructor(fd: number, name: string) {
    this.#fd = fd;
    this.#name = name;
    if (sinks.size === 0)
      process.on("exit", () => {
        for (const sink of sinks) sink.#writeLast();
      });
    sinks.add(this);
  }

  /** A sink that appends to a file, which is made if it is missing. @throws Error when it cannot be opened */
  static toFile(file: string): LogSink {
    const folder = path.dirname(file);
    if (!existsSync(folder)) mkdirSync(folder, { recursive: true });
    return new LogSink(openSync(file, "a"), file);
  }

  write(text: string): void {
    if (this.#waitingLength > 0 && this.#waitingLength + text.length > maxWaitingLength) {
      this.#fail("too slow");
      return;
    }
    this.#waitingLength += text.length;
    this.#texts.push(text);
    if (this.#isWriting) return;
    this.#isWriting = true;
    // Not at once: what comes when the process ends is written then.
    setImmediate(() => this.#next());
  }

  #next(): void {
    const bytes = this.#take();
    if (bytes.length > 0) this.#put(bytes);
    else this.#isWriting = false;
  }

  #take(): Buffer {
    const texts = this.#texts.splice(0);
    this.#waitingLength = 0;
    if (texts.length > 0 && this.#isTorn) texts.unshift("\n");
    this.#isTorn = false;
    return Buffer.from(texts.join(""));
  }

  #put(bytes: Buffer, isBegun = false): void {
    this.#rest = undefined;
    write(this.#fd, bytes, 0, bytes.length, null, (error, writtenBytes) => {
      if (error && isSlow(error)) {
        this.#rest = bytes;
        setTimeout(() => this.#rest && this.#put(bytes, isBegun), retryMs);
      } else if (error) {
        this.#isTorn = isBegun;
        this.#fail(errorCode(error));
        this.#next();
      } else if (writtenBytes < bytes.length) this.#put(bytes.subarray(writtenBytes), true);
      else {
        this.#isFailing = false;
        this.#next();
      }
    });
  }

  #writeLast(): void {
    const untilMs = Date.now() + endMs;
    let bytes = Buffer.concat([this.#rest ?? Buffer.alloc(0), this.#take()]);
    this.#rest = undefined;
    while (bytes.length > 0)
      try {
        bytes = bytes.subarray(writeSync(this.#fd, bytes));
      } catch (error) {
        if (!isSlow(error) || Date.now() >= untilMs) {
          this.#fail(errorCode(error));
          return;
        }
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs);
      }
  }

  #fail(why: string): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    try {
      writeSync(2, `bilancia: ${this.#name} cannot be written (${why}): log lines are dropped until it can\n`);
    } catch {
      // There is nobody left to tell.
    }
  }
}

function isSlow(error: unknown): boolean {
  return ["EAGAIN", "EBUSY"].includes(errorCode(error));
}
