import { BatchWriter } from "@bilancia/proto/batch-writer";
import { readNothingAhead } from "@bilancia/proto/flow-control";
import type { UploadEvent, UploadFileResponse, UploadHeader } from "@bilancia/proto/gen/balancer";
import { maxPartDataBytes, maxPartsPerMessage } from "@bilancia/proto/limits";
import { assembleInPlace } from "@bilancia/proto/message-assembly";
import type { Part } from "@bilancia/proto/part-codec";
import type { UploadBatch } from "@bilancia/proto/services";
import { shortText } from "@bilancia/proto/status-text";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { crc32c } from "@node-rs/crc32";
import { BilanciaError, type Rejection } from "../domain/errors.js";
import type { UploadDescription } from "../domain/upload.js";
import type { Inbox, IncomingUpload, UploadListener, UploadProgress } from "../ports/inbox.js";
import type { Observer } from "../ports/observer.js";
import { toStatus } from "../wire/wire-errors.js";
import { readHeader } from "./header-reader.js";
import type { Reader, ReadTurns } from "./read-turns.js";
import { toUploadEvent } from "./upload-messages.js";

export type UploadCall = ServerDuplexStream<UploadBatch, UploadFileResponse>;

/** The file whose parts are arriving. `upload` is absent while the rest of a file is skipped. */
interface Current {
  readonly name: string;
  upload: IncomingUpload | undefined;
  /** Where the next data must begin; absent until the first data tells where the client begins. */
  nextOffset: number | undefined;
}

/** One client's `UploadFile` stream: reads parts, hands files to the inbox, and passes their news on. */
export class UploadSession implements UploadListener, Reader {
  readonly client: string;
  readonly #call: UploadCall;
  readonly #inbox: Inbox;
  readonly #observer: Observer;
  readonly #turns: ReadTurns;
  readonly #events: BatchWriter<UploadEvent, UploadFileResponse>;
  /** Uploads that the client has yet to hear the last of. */
  readonly #awaited = new Set<bigint>();
  /** Those of which it has heard `queued`: nothing is waited for, though the news goes on while the stream is open. */
  readonly #queued = new Set<bigint>();
  #current: Current | undefined;
  #clientDone = false;
  #draining = false;
  #over = false;
  /** Nothing is read while the file waits for room in the queue, or for its turn, or the client has events to read. */
  #waitsForRoom = false;
  #waitsForTurn = false;
  #waitsForEvents = false;

  constructor(
    call: UploadCall,
    inbox: Inbox,
    observer: Observer,
    turns: ReadTurns,
    onOver: (session: UploadSession) => void,
  ) {
    this.client = call.getPeer();
    this.#turns = turns;
    this.#call = call;
    this.#inbox = inbox;
    this.#observer = observer;
    this.#events = new BatchWriter(call, {
      toMessage: (events) => ({ events }),
      sizeOf: ({ uploadId }) => 256 + uploadId.length,
    });
    const over = () => {
      this.#leaveAll();
      onOver(this);
    };
    readNothingAhead(call);
    assembleInPlace(call);
    call.on("data", (batch: UploadBatch) => this.#guard(() => this.#take(batch)));
    call.on("end", () => this.#guard(() => this.#ended()));
    call.on("cancelled", over);
    call.on("error", over);
    call.on("close", over);
    call.on("finish", over);
  }

  /** Takes no new files; ends the stream once nothing is under way on it. */
  drain(): void {
    this.#draining = true;
    this.#endIfDone();
  }

  uploadProgress(uploadId: string, requestNumber: bigint, progress: UploadProgress): void {
    if (this.#over) return;
    this.#events.push(toUploadEvent(uploadId, requestNumber, progress));
    // What is left of the file is skipped: it was rejected, or a server turned out to hold all of it.
    if (this.#current?.upload?.requestNumber === requestNumber) {
      this.#current.upload = undefined;
      this.#endTurn();
    }
    this.#awaited.delete(requestNumber);
    if (progress.kind === "queued") this.#queued.add(requestNumber);
    else this.#queued.delete(requestNumber);
    this.#endIfDone();
  }

  #guard(action: () => void): void {
    if (this.#over) return;
    try {
      action();
    } catch (error) {
      this.#fail(error);
    }
  }

  #take(batch: UploadBatch): void {
    if (batch.malformed !== undefined) throw violation(`the message is not an UploadFileRequest: ${batch.malformed}`);
    const { parts } = batch;
    if (parts.length === 0) throw violation("the message has no parts; expected 1 to 64");
    if (parts.length > maxPartsPerMessage) {
      throw violation(`the message has ${parts.length} parts; expected at most ${maxPartsPerMessage}`);
    }
    const raw = parts.length === 1 ? batch.raw : undefined;
    for (const part of parts) this.#part(part, raw);
    const upload = this.#current?.upload;
    if (!upload) {
      this.#endTurn();
      return;
    }
    this.#turns.used(
      this,
      parts.reduce((bytes, { data }) => bytes + data.length, 0),
    );
    this.#readOn(upload);
  }

  turn(): void {
    const upload = this.#current?.upload;
    if (upload) this.#readOn(upload);
    else this.#endTurn();
  }

  turnOver(): void {
    this.#waitsForTurn = true;
    this.#readOrWait();
  }

  /** What comes next is not kept in memory for long: it is read as it comes. */
  #endTurn(): void {
    this.#waitsForTurn = false;
    this.#turns.leave(this);
    this.#readOrWait();
  }

  /** The file goes on in a later message: that is read once the queue has room for it, and it is the file's turn. */
  #readOn(upload: IncomingUpload): void {
    const room = upload.ready();
    if (!room) {
      this.#waitsForTurn = !this.#turns.take(this);
      this.#readOrWait();
      return;
    }
    this.#turns.leave(this);
    this.#waitsForTurn = false;
    if (this.#waitsForRoom) return;
    this.#waitsForRoom = true;
    this.#readOrWait();
    room
      .then(() => {
        this.#waitsForRoom = false;
        this.turn();
      })
      .catch((error: unknown) => this.#fail(error));
  }

  /** Not reading is what makes the client wait: HTTP/2 flow control does the rest. */
  #readOrWait(): void {
    if (this.#over) return;
    this.#waitForEvents();
    const waits = this.#waitsForRoom || this.#waitsForTurn || this.#waitsForEvents;
    if (waits === this.#call.isPaused()) return;
    if (waits) this.#call.pause();
    else this.#call.resume();
  }

  /** Whoever does not read the events would have them pile up. */
  #waitForEvents(): void {
    if (this.#waitsForEvents || !this.#events.full) return;
    this.#waitsForEvents = true;
    this.#events
      .ready()
      .then(() => {
        this.#waitsForEvents = false;
        this.#readOrWait();
      })
      .catch((error: unknown) => this.#fail(error));
  }

  #part(part: Part<UploadHeader>, raw: Buffer | undefined): void {
    if (part.data.length > maxPartDataBytes) {
      throw violation(`a part has ${part.data.length} bytes of data; expected at most ${maxPartDataBytes}`);
    }
    if (part.header) this.#begin(part.header, part.finish !== undefined);
    const current = this.#current;
    if (!current) throw violation("data came before a header; a file begins with a part that has one");
    if (part.data.length > 0) this.#data(current, part, raw);
    else if (part.crc32c) current.upload?.reject(damaged(current.name, part.offset, part.offset, 0, part.crc32c));
    if (!part.finish) return;
    if (part.data.length === 0) this.#noGap(current, part.offset);
    this.#current = undefined;
    const { sizeBytes, sha256 } = part.finish;
    current.upload?.complete({ sizeBytes: sizeBytes === undefined ? undefined : Number(sizeBytes), sha256 });
  }

  #begin(header: UploadHeader, wholeFile: boolean): void {
    if (this.#current?.upload) this.#giveUp(this.#current.upload);
    const { name } = header;
    this.#current = { name, upload: undefined, nextOffset: undefined };
    const read = readHeader(header);
    if (read.kind === "bad") {
      this.#notAdmitted(read.uploadId, name, read.rejection);
    } else if (this.#draining) {
      const message = "the balancer is stopping";
      this.#notAdmitted(read.description.uploadId, name, { reason: "SHUTTING_DOWN", message, retryAfterMs: 1_000 });
    } else {
      this.#open(this.#current, read.description, wholeFile);
    }
  }

  #open(current: Current, description: UploadDescription, wholeFile: boolean): void {
    const { uploadId, name } = description;
    const opened = this.#inbox.open(description, this);
    if (opened.kind === "rejected") {
      this.#notAdmitted(uploadId, name, opened.rejection);
    } else if (opened.kind === "known") {
      if (!opened.told) this.#awaited.add(opened.requestNumber);
    } else {
      const { upload } = opened;
      const { requestNumber } = upload;
      current.upload = upload;
      this.#awaited.add(requestNumber);
      if (wholeFile) return;
      const accepted = { resumeOffset: BigInt(upload.receivedBytes) };
      this.#events.push({ uploadId, requestNumber, event: { $case: "accepted", value: accepted } });
    }
  }

  #data(current: Current, part: Part<UploadHeader>, raw: Buffer | undefined): void {
    const { upload } = current;
    const expected = current.nextOffset ?? part.offset;
    const received = upload?.receivedBytes ?? part.offset;
    if (part.offset !== expected || part.offset > received) {
      throw misplaced("data", current.name, part.offset, Math.min(expected, received));
    }
    current.nextOffset = part.offset + part.data.length;
    if (!upload) return;
    const found = crc32c(part.data);
    if (part.crc32c !== undefined && part.crc32c !== found) {
      upload.reject(damaged(current.name, part.offset, current.nextOffset, found, part.crc32c));
      return;
    }
    const known = received - part.offset;
    if (known === 0) {
      // Without a checksum of the client's the message is written anew, with ours in it.
      const whole = part.crc32c === undefined ? undefined : raw;
      upload.append({ offset: part.offset, data: part.data, crc32c: found, raw: whole });
    } else if (known < part.data.length) {
      // A client that resumes may begin earlier than it had to.
      const data = part.data.subarray(known);
      upload.append({ offset: received, data, crc32c: crc32c(data) });
    }
  }

  /** An end without data need not say where it is (0 stands for nothing), but what comes before it must be there. */
  #noGap({ name, nextOffset, upload }: Current, offset: number): void {
    const expected = nextOffset ?? upload?.receivedBytes ?? offset;
    if (offset > expected) throw misplaced("end", name, offset, expected);
  }

  #notAdmitted(uploadId: string, name: string, rejection: Rejection): void {
    // Its client knows it by its id, whatever that is; the log need not have all of it.
    const named = { uploadId: shortText(uploadId), name: shortText(name) };
    this.#observer.note({ kind: "not-admitted", ...named, client: this.client, rejection });
    this.#events.push(toUploadEvent(uploadId, 0n, { kind: "rejected", rejection }));
  }

  #giveUp(upload: IncomingUpload): void {
    this.#awaited.delete(upload.requestNumber);
    this.#inbox.leave(upload.requestNumber, this);
  }

  #ended(): void {
    this.#clientDone = true;
    if (this.#current?.upload) this.#giveUp(this.#current.upload);
    this.#current = undefined;
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#over || this.#awaited.size > 0) return;
    if (this.#clientDone) this.#events.end();
    else if (this.#draining) this.#fail(new BilanciaError("SHUTTING_DOWN", "the balancer is stopping"));
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    if (error instanceof BilanciaError) this.#observer.note({ kind: "stream-ended", client: this.client, error });
    else this.#observer.note({ kind: "fault", where: "an upload stream", error });
    this.#events.flushNow();
    this.#call.emit("error", toStatus(error));
    this.#call.resume();
  }

  #leaveAll(): void {
    if (this.#over) return;
    this.#over = true;
    this.#turns.leave(this);
    for (const heard of [this.#awaited, this.#queued]) {
      for (const requestNumber of heard) this.#inbox.leave(requestNumber, this);
      heard.clear();
    }
    this.#current = undefined;
  }
}

function violation(message: string): BilanciaError {
  return new BilanciaError("PROTOCOL_VIOLATION", message);
}

function misplaced(what: "data" | "end", name: string, offset: number, expected: number): BilanciaError {
  const comes = what === "data" ? "goes on" : "comes";
  return violation(`the ${what} of ${JSON.stringify(name)} ${comes} at offset ${offset}; expected ${expected}`);
}

/** @param found CRC-32C of the bytes as they came; that of no bytes is 0 */
function damaged(name: string, fromBytes: number, toBytes: number, found: number, expected: number): Rejection {
  const where = `the bytes ${fromBytes} to ${toBytes} of ${JSON.stringify(name)}`;
  const message = `${where} have CRC-32C ${hex(found)}; expected ${hex(expected)}: they were damaged on the way`;
  return { reason: "CHECKSUM_MISMATCH", message };
}

function hex(crc: number): string {
  return `0x${crc.toString(16).padStart(8, "0")}`;
}
