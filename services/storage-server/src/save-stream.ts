import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import { BatchWriter } from "@bilancia/proto/batch-writer";
import { readNothingAhead } from "@bilancia/proto/flow-control";
import type { SaveHeader, SaveResponse, SaveResult } from "@bilancia/proto/gen/storage";
import { maxPartDataBytes, maxPartsPerMessage } from "@bilancia/proto/limits";
import { assembleInPlace } from "@bilancia/proto/message-assembly";
import type { Part } from "@bilancia/proto/part-codec";
import type { SaveBatch } from "@bilancia/proto/services";
import { shortText, statusText } from "@bilancia/proto/status-text";
import { toDuration } from "@bilancia/proto/time";
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import { readAttempt, readHeader } from "./file-header.js";
import type { AttemptedFile } from "./file-id.js";
import { StoreBroken } from "./file-store.js";
import { type FileOutcome, IncomingFile } from "./incoming-file.js";
import { Refusal } from "./refusal.js";
import type { SaveDesk } from "./save-desk.js";

/** After a breach of the protocol, files that are whole get this long to be answered before the stream is ended, in milliseconds. */
const lastAnswersMs = 1_000;
/** When it is worth asking again a server that is busy, in milliseconds. */
const busyRetryAfterMs = 500;
/** What a result takes in a message, about, in bytes. */
const resultBytes = 350;

/** The sender does not keep to the contract: the stream ends. The message is for people. */
class ProtocolViolation extends Error {}

/**
 * One `Save` stream: tells its parts apart, hands them to the files they belong to, and sends the answers. It reads no faster than files are
 * written, so that a sender that is faster is held back by the transport.
 */
export class SaveStream {
  readonly #call: ServerDuplexStream<SaveBatch, SaveResponse>;
  readonly #desk: SaveDesk;
  readonly #writer: BatchWriter<SaveResult, SaveResponse>;
  readonly #files = new Set<IncomingFile>();
  /** The file last begun; `skipped` when it was answered before it was begun. */
  #current: IncomingFile | "skipped" | undefined;
  #stopping = false;
  /** The sender has broken the protocol: nothing more is read, and the stream is about to end. */
  #isViolated = false;
  #ended = false;
  #onEnded = () => {};

  constructor(call: ServerDuplexStream<SaveBatch, SaveResponse>, desk: SaveDesk, isOverloaded: () => boolean) {
    this.#call = call;
    this.#desk = desk;
    this.#writer = new BatchWriter(call, {
      toMessage: (results) => ({ results, overloaded: isOverloaded() }),
      sizeOf: () => resultBytes,
    });
  }

  /**
   * Serves the stream to its end. Read by events and not by `for await`, which destroys a stream that ends with an error, and with it the way
   * to say what was wrong.
   *
   * @param onEnded called once
   */
  serve(onEnded: () => void): void {
    this.#onEnded = onEnded;
    readNothingAhead(this.#call);
    assembleInPlace(this.#call);
    this.#call.on("data", (batch: SaveBatch) => this.#receive(batch));
    this.#call.once("end", () => void this.#finish());
    for (const event of ["cancelled", "close"])
      this.#call.once(event, () => {
        for (const file of this.#files) file.drop();
        this.#setEnded();
      });
  }

  /** Takes no new files, and ends the stream with UNAVAILABLE once those in progress are answered. */
  async stop(): Promise<void> {
    this.#stopping = true;
    while (this.#files.size > 0) await this.#outcomes();
    await this.#flush();
    this.#end(status.UNAVAILABLE, "the server is stopping");
  }

  /** Ends the stream at once; files in progress are not answered. */
  abort(why: string): void {
    this.#end(status.UNAVAILABLE, why);
    for (const file of this.#files) file.drop();
  }

  #receive(batch: SaveBatch): void {
    if (this.#ended || this.#isViolated) return;
    try {
      this.#takeBatch(batch);
    } catch (error) {
      void this.#fail(error);
      return;
    }
    if (this.#hasRoom()) return;
    this.#call.pause();
    void this.#room().then(() => this.#call.resume());
  }

  /** The sender has closed its side: the answers that are due, then OK. */
  async #finish(): Promise<void> {
    this.#dropUnfinished();
    await this.#outcomes();
    if (this.#ended || this.#isViolated) return;
    this.#writer.end();
    this.#setEnded();
  }

  #takeBatch({ parts, malformed }: SaveBatch): void {
    if (malformed !== undefined) throw new ProtocolViolation(`the message is not a SaveRequest: ${malformed}`);
    if (parts.length === 0 || parts.length > maxPartsPerMessage)
      throw new ProtocolViolation(`the message has ${parts.length} parts; expected 1 to ${maxPartsPerMessage}`);
    for (const part of parts) this.#takePart(part);
  }

  #takePart(part: Part<SaveHeader>): void {
    if (part.data.length > maxPartDataBytes)
      throw new ProtocolViolation(`a part has ${part.data.length} bytes of data; expected at most ${maxPartDataBytes}`);
    if (part.header) {
      this.#beginFile(part.header, part);
      return;
    }
    const current = this.#current;
    if (current === undefined) throw new ProtocolViolation("data came before a header; expected a part with a header");
    if (current === "skipped" || (current.decided && !current.whole)) return;
    if (current.whole)
      throw new ProtocolViolation("a part without a header came after the finish of a file; expected a header");
    this.#checkOffset(part, current.receivedBytes);
    current.push(part);
  }

  #beginFile(header: SaveHeader, part: Part<SaveHeader>): void {
    const before = this.#current;
    if (before instanceof IncomingFile && !before.whole && !before.decided)
      throw new ProtocolViolation(
        `a header came before the finish of the file with request number ${before.header.id.requestNumber}`,
      );
    this.#current = "skipped";
    const { requestNumber } = header;
    if (this.#stopping || this.#desk.inFlight.full) {
      const retryAfter = toDuration(busyRetryAfterMs);
      this.#writer.push({ requestNumber, outcome: { $case: "busy", value: { retryAfter } } });
      this.#desk.log.debug({ requestNumber, uploadId: header.uploadId, attempt: header.attempt }, "file put off");
      return;
    }
    let attempted: AttemptedFile | undefined;
    try {
      attempted = readAttempt(header);
      const checked = readHeader(header, attempted, this.#desk.limits);
      this.#checkOffset(part, 0);
      const accept = () => this.#writer.push({ requestNumber, outcome: { $case: "accept", value: { offset: 0n } } });
      const file = new IncomingFile(checked, part, this.#desk, accept);
      this.#current = file;
      this.#files.add(file);
      void file.outcome.then((outcome) => this.#answer(file, header, outcome));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (attempted) this.#desk.registry.saw(attempted);
      this.#refuse(header, error);
    }
  }

  #checkOffset(part: Part<SaveHeader>, expectedOffset: number): void {
    if (part.offset !== expectedOffset)
      throw new ProtocolViolation(`a part has offset ${part.offset}; expected ${expectedOffset}`);
  }

  #answer(file: IncomingFile, header: SaveHeader, outcome: FileOutcome): void {
    this.#files.delete(file);
    const { log } = this.#desk;
    const { requestNumber, uploadId, attempt } = header;
    switch (outcome.kind) {
      case "saved": {
        const { storedName, sizeBytes, duplicate } = outcome.saved;
        log.info(
          { requestNumber, uploadId, attempt, storedName, sizeBytes: Number(sizeBytes), duplicate },
          "file saved",
        );
        this.#writer.push({ requestNumber, outcome: { $case: "saved", value: outcome.saved } });
        return;
      }
      case "refused":
        this.#refuse(header, outcome.refusal);
        return;
      case "dropped":
        log.info({ requestNumber, uploadId, attempt }, "file dropped, its stream ended before it was whole");
        return;
      case "failed":
        // No answer: the file may lie here or not.
        if (outcome.error instanceof StoreBroken) {
          this.abort("the disk of this server failed");
        } else {
          log.error({ requestNumber, uploadId, attempt, err: outcome.error }, "file failed");
          this.#end(status.INTERNAL, "the server failed");
        }
    }
  }

  #refuse(header: SaveHeader, { reason, message, cause }: Refusal): void {
    const { requestNumber, attempt } = header;
    const uploadId = shortText(header.uploadId);
    this.#desk.log.warn({ requestNumber, uploadId, attempt, reason, message, err: cause }, "file refused");
    this.#writer.push({ requestNumber, outcome: { $case: "refused", value: { reason, message } } });
  }

  /** Whether more can be read without piling up in memory. */
  #hasRoom(): boolean {
    const { buffered, writes } = this.#desk;
    const fileFull = this.#current instanceof IncomingFile && this.#current.full;
    return !(fileFull || buffered.full || writes.full || this.#writer.full);
  }

  async #room(): Promise<void> {
    while (!this.#hasRoom() && !this.#ended) {
      if (this.#current instanceof IncomingFile) await this.#current.room();
      await this.#desk.buffered.room();
      await this.#desk.writes.room();
      await this.#writer.ready();
    }
  }

  async #fail(error: unknown): Promise<void> {
    this.#isViolated = true;
    this.#dropUnfinished();
    if (!(error instanceof ProtocolViolation)) {
      this.#desk.log.error({ err: error }, "save stream failed");
      this.#end(status.INTERNAL, "the server failed");
      return;
    }
    this.#desk.log.warn({ peer: this.#call.getPeer(), problem: error.message }, "protocol violation");
    const timer = new AbortController();
    await Promise.race([this.#outcomes(), delay(lastAnswersMs, undefined, { signal: timer.signal }).catch(() => {})]);
    timer.abort();
    await this.#flush();
    this.#end(status.INVALID_ARGUMENT, error.message);
  }

  /** Resolves when all files begun so far are answered. */
  async #outcomes(): Promise<void> {
    await Promise.all([...this.#files].map((file) => file.outcome));
  }

  /** Resolves when the answers given so far are written. */
  async #flush(): Promise<void> {
    await nextTurn();
    await this.#writer.ready();
  }

  #end(code: status, details: string): void {
    if (this.#ended) return;
    this.#setEnded();
    if (!this.#call.cancelled && !this.#call.destroyed)
      this.#call.emit("error", { code, details: statusText(details) });
  }

  #setEnded(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnded();
  }

  #dropUnfinished(): void {
    for (const file of this.#files) if (!file.whole) file.drop();
  }
}
