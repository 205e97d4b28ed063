import { Condition } from "@bilancia/proto/condition";
import type { Part, PartBatch } from "@bilancia/proto/part-codec";
import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import { expectEqual, expectThat, Violation } from "./violation.js";

/** How a stream ended. */
export interface StreamEnd {
  readonly code: status;
  readonly details: string;
}

/**
 * One stream of files, seen from the sender. Keeps the final answers by the files' keys, and notes what no server may do: answer a file that was
 * not sent, or answer one twice. Whoever opens it ends it: `close`, which complains of that, or `cancel`.
 */
export abstract class StreamSession<Header, Response, Key, Outcome> {
  /** Resolves with how the stream ended. */
  readonly ended: Promise<StreamEnd>;
  readonly #call: ClientDuplexStream<PartBatch<Header>, Response>;
  readonly #timeoutMs: number;
  readonly #finals = new Map<Key, Outcome>();
  /** How many final answers each file may have: as many as it has been begun here. */
  readonly #due = new Map<Key, number>();
  readonly #strays: string[] = [];
  #end: StreamEnd | undefined;
  readonly #changed = new Condition();

  /** @param timeoutMs how long to wait for an answer */
  constructor(call: ClientDuplexStream<PartBatch<Header>, Response>, timeoutMs: number) {
    this.#call = call;
    this.#timeoutMs = timeoutMs;
    call.on("data", (response: Response) => {
      this.receive(response);
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      const close = ({ code, details }: StreamEnd) => {
        this.#end ??= { code, details };
        resolve(this.#end);
        this.#wake();
      };
      call.on("error", (error: ServiceError) => close(error));
      call.on("status", close);
    });
  }

  protected abstract keyOf(header: Header): Key;
  /** A file in words, for messages. */
  protected abstract nameOf(key: Key): string;
  /** Takes an answer. */
  protected abstract receive(response: Response): void;

  /** How the stream ended, if it has. */
  get end(): StreamEnd | undefined {
    return this.#end;
  }

  /** Sends one message. Resolves when there is room for the next, or the stream has ended. @throws Violation when the server does not read on */
  async send(...parts: Part<Header>[]): Promise<void> {
    for (const { header } of parts) if (header) this.begin(this.keyOf(header), header);
    await this.#write({ parts });
  }

  /** Sends bytes in place of a message. */
  sendRaw(raw: Buffer): Promise<void> {
    return this.#write({ parts: [], raw });
  }

  /** Sends parts one to a message, until the server has answered the file. */
  async sendParts(parts: readonly Part<Header>[], key: Key): Promise<void> {
    for (const part of parts) {
      if (this.#finals.has(key)) return;
      await this.send(part);
    }
  }

  /** The final answer to a file, if it has come. */
  answered(key: Key): Outcome | undefined {
    return this.#finals.get(key);
  }

  /** The final answer to a file. @throws Violation when it does not come */
  async final(key: Key): Promise<Outcome> {
    const what = this.nameOf(key);
    await this.until(() => this.#finals.has(key) || this.#end !== undefined, `no final answer for ${what} came`);
    const outcome = this.#finals.get(key);
    if (outcome !== undefined) return outcome;
    throw new Violation(`the stream ended (${describeEnd(this.#end)}) before ${what} was answered`);
  }

  /** Sends the parts of a file over a connection that is cut somewhere, for as long as it lasts, and breaks it off. */
  async sendUntilCut(parts: readonly Part<Header>[], key: Key): Promise<void> {
    for (const part of parts) if (!this.end) await this.send(part);
    // Where it is cut after the last byte of the file, the answer comes first.
    await Promise.race([this.ended, this.final(key).catch(() => {})]);
    this.cancel();
  }

  /** Waits for the end of the stream. @throws Violation when it does not come, or with another status */
  async endsWith(code: status): Promise<StreamEnd> {
    await this.until(() => this.#end !== undefined, `the server did not end the stream with ${status[code]}`);
    expectEqual(describeEnd(this.#end, false), status[code], "the status of the stream");
    return { code, details: this.#end?.details ?? "" };
  }

  /** Waits for the end of the stream. @throws Violation when it does not come, or with OK */
  async endsWithError(): Promise<void> {
    await this.until(() => this.#end !== undefined, "the server did not end the stream with an error");
    expectThat(this.#end?.code !== status.OK, "the status of the stream is OK; expected an error");
  }

  /** Half-closes; the server must end with OK, and must not have answered what was not asked. @throws Violation */
  async close(): Promise<void> {
    this.#call.end();
    await this.endsWith(status.OK);
    const [stray] = this.#strays;
    if (stray) throw new Violation(stray);
  }

  /** Breaks the stream off. */
  cancel(): void {
    this.#call.cancel();
  }

  /** Notes that a file has been begun. */
  protected begin(key: Key, _header: Header): void {
    this.#due.set(key, (this.#due.get(key) ?? 0) + 1);
    this.#finals.delete(key);
  }

  /** Notes an answer that is not the last one. */
  protected heard(key: Key): void {
    if (!this.#due.has(key)) this.stray(`an answer came for ${this.nameOf(key)}, which was not sent on this stream`);
  }

  /** Notes the last answer to a file. */
  protected settle(key: Key, outcome: Outcome): void {
    this.heard(key);
    const due = this.#due.get(key);
    if (due === 0) this.stray(`${this.nameOf(key)} got a second final answer`);
    if (due) this.#due.set(key, due - 1);
    this.#finals.set(key, outcome);
  }

  /** Notes what no server may do. */
  protected stray(words: string): void {
    this.#strays.push(words);
  }

  protected async until(condition: () => boolean, otherwise: string): Promise<void> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, this.#timeoutMs);
    try {
      while (!condition()) {
        if (isLate) throw new Violation(`${otherwise} within ${this.#timeoutMs / 1000} s`);
        await this.#changed.wait();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async #write(message: PartBatch<Header>): Promise<void> {
    if (this.#end || this.#call.write(message)) return;
    let drained = false;
    this.#call.once("drain", () => {
      drained = true;
      this.#wake();
    });
    await this.until(() => drained || this.#end !== undefined, "the server did not read on");
  }

  #wake(): void {
    this.#changed.notify();
  }
}

function describeEnd(end: StreamEnd | undefined, withDetails = true): string {
  if (!end) return "it is open";
  const name = status[end.code] ?? String(end.code);
  return withDetails && end.details ? `${name}: ${end.details}` : name;
}
