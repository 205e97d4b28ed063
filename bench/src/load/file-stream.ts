import { BatchWriter } from "@bilancia/proto/batch-writer";
import type { Part, PartBatch } from "@bilancia/proto/part-codec";
import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import type { Answer, Dialect, FileKey, StoredFile } from "./dialect.js";
import type { Payload } from "./payload.js";

interface Waiting {
  readonly payload: Payload;
  readonly acknowledged: (file: StoredFile | undefined) => void;
  readonly failed: (error: Error) => void;
}

/** About what a header takes in a message, in bytes. */
const headerBytes = 256;
const noBytes = new Uint8Array(0);

/**
 * One call that carries files: what is pushed in one turn of the event loop shares messages, answers find their file. A file of more than one
 * piece must not be sent while another one is being sent on the same stream.
 */
export class FileStream<Header, Response> {
  readonly #dialect: Dialect<Header, Response>;
  readonly #call: ClientDuplexStream<PartBatch<Header>, Response>;
  readonly #writer: BatchWriter<Part<Header>, PartBatch<Header>>;
  /** Files without an acknowledgement. */
  readonly #waiting = new Map<FileKey, Waiting>();
  /** Files that are queued, and not stored yet. */
  readonly #onTheWay = new Map<FileKey, Payload>();
  readonly #ended: Promise<void>;
  #idle: (() => void) | undefined;
  #failure: Error | undefined;

  constructor(dialect: Dialect<Header, Response>, index: number) {
    this.#dialect = dialect;
    this.#call = dialect.open(index);
    this.#writer = new BatchWriter(this.#call, {
      toMessage: (parts) => ({ parts }),
      sizeOf: (part) => part.data.length + headerBytes,
      alone: (part) => !part.header && part.data.length > 0,
    });
    this.#call.on("data", (response: Response) => {
      for (const answer of dialect.answers(response)) this.#answered(answer);
    });
    this.#ended = new Promise((resolve) => {
      this.#call.on("error", (error: ServiceError) => {
        if (error.code !== status.CANCELLED) this.#fail(error);
        resolve();
      });
      this.#call.on("end", () => {
        this.#fail(new Error("the server ended the stream"));
        resolve();
      });
    });
  }

  /**
   * Sends a file. Resolves when it is acknowledged, with the file where it is stored; rejects when it is not, or other bytes than these are
   * stored.
   *
   * @param last whether the stream is half-closed behind it
   */
  async send(payload: Payload, last = false): Promise<StoredFile | undefined> {
    if (this.#failure) throw this.#failure;
    const { key, header } = this.#dialect.begin(payload);
    const acknowledged = new Promise<StoredFile | undefined>((resolve, reject) => {
      this.#waiting.set(key, { payload, acknowledged: resolve, failed: reject });
    });
    const [first, second] = payload.pieces();
    const finish = { sizeBytes: BigInt(payload.sizeBytes), sha256: payload.sha256 };
    if (first && !second) {
      const { data, crc32c } = first;
      const room = this.#writer.push({ header, offset: 0, data, crc32c, finish });
      if (last) this.#writer.end();
      else if (!room) await this.#writer.ready();
      return acknowledged;
    }
    // Whoever waits below may be told of the failure before it looks.
    acknowledged.catch(() => {});
    this.#writer.push({ header, offset: 0, data: noBytes });
    let offset = 0;
    for (const { data, crc32c } of payload.pieces()) {
      if (this.#failure) break;
      if (!this.#writer.push({ offset, data, crc32c })) await this.#writer.ready();
      offset += data.length;
    }
    this.#writer.push({ offset, data: noBytes, finish });
    if (last) this.#writer.end();
    return acknowledged;
  }

  /** Resolves when every file that was queued is stored, as it was sent. @throws Error where one is not */
  async settled(): Promise<void> {
    while (this.#onTheWay.size > 0 && !this.#failure)
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    if (this.#failure) throw this.#failure;
  }

  /** Ends the stream; resolves when the server has ended it too. */
  async close(): Promise<void> {
    this.#writer.end();
    const timer = setTimeout(() => this.#call.cancel(), 1_000);
    await this.#ended;
    clearTimeout(timer);
  }

  #answered(answer: Answer): void {
    const { key } = answer;
    const waiting = this.#waiting.get(key);
    const payload = waiting?.payload ?? this.#onTheWay.get(key);
    if (!payload) return;
    this.#waiting.delete(key);
    if (answer.kind === "queued") {
      this.#onTheWay.set(key, payload);
      waiting?.acknowledged(undefined);
      return;
    }
    this.#onTheWay.delete(key);
    const problem = problemOf(answer, payload);
    if (problem !== undefined && waiting) waiting.failed(new Error(problem));
    else if (problem !== undefined) this.#fail(new Error(problem));
    else if (answer.kind === "stored") waiting?.acknowledged(answer.file);
    if (this.#onTheWay.size === 0) this.#idle?.();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { failed } of this.#waiting.values()) failed(error);
    this.#waiting.clear();
    this.#idle?.();
  }
}

function problemOf(answer: Exclude<Answer, { kind: "queued" }>, payload: Payload): string | undefined {
  if (answer.kind === "failed") return `a file was not taken: ${answer.message}`;
  if (answer.sizeBytes !== BigInt(payload.sizeBytes))
    return `${answer.sizeBytes} bytes are stored, ${payload.sizeBytes} were sent`;
  return payload.sha256.equals(answer.sha256) ? undefined : "other bytes are stored than were sent";
}
