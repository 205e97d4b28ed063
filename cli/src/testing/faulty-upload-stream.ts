import type { UploadEvent, UploadFileResponse, UploadHeader } from "@bilancia/proto/gen/balancer";
import { maxPartDataBytes, maxPartsPerMessage } from "@bilancia/proto/limits";
import type { Part } from "@bilancia/proto/part-codec";
import type { UploadBatch } from "@bilancia/proto/services";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { crc32c } from "@node-rs/crc32";
import type { BalancerFault } from "./balancer-faults.js";
import { Rejected } from "./faulty-rules.js";
import type { FaultyUploads, HeldUpload, Listener } from "./faulty-uploads.js";

export type UploadCall = ServerDuplexStream<UploadBatch, UploadFileResponse>;
type Event = NonNullable<UploadEvent["event"]>;

/** One `UploadFile` stream of a `FaultyBalancer`. */
export class FaultyUploadStream implements Listener {
  readonly #call: UploadCall;
  readonly #uploads: FaultyUploads;
  readonly #fault: BalancerFault | undefined;
  /** The file whose parts arrive; `skipped`: it has been answered, the rest of it is not looked at. */
  #current: HeldUpload | "skipped" | undefined;
  #nextOffset: number | undefined;
  readonly #awaited = new Set<HeldUpload>();
  #events: UploadEvent[] = [];
  readonly #queued = new Set<HeldUpload>();
  #clientDone = false;
  #isOver = false;

  constructor(call: UploadCall, uploads: FaultyUploads, fault: BalancerFault | undefined) {
    this.#call = call;
    this.#uploads = uploads;
    this.#fault = fault;
    call.on("data", (batch: UploadBatch) => this.#take(batch));
    call.on("end", () => {
      this.#clientDone = true;
      this.#giveUp();
      this.#flush();
    });
    for (const event of ["cancelled", "error", "close"]) call.on(event, () => this.#leave());
  }

  get #isLeaving(): boolean {
    return this.#clientDone || this.#isOver;
  }

  tell(upload: HeldUpload, event: Event): void {
    if (event.$case === "queued") this.#queued.add(upload);
    this.#push(upload.header.uploadId, upload.requestNumber, event);
    if (event.$case === "stored" || event.$case === "rejected") {
      this.#awaited.delete(upload);
      if (this.#current === upload) this.#current = "skipped";
    }
    setImmediate(() => this.#flush());
  }

  #take({ parts, malformed }: UploadBatch): void {
    if (this.#isOver) return;
    const isWrong = parts.length === 0 || parts.length > maxPartsPerMessage;
    try {
      if (malformed !== undefined && !this.#has("takes bytes that are no message"))
        throw new Rejected("PROTOCOL_VIOLATION", malformed);
      if (malformed === undefined && isWrong && !this.#has("takes whatever parts come"))
        throw new Rejected("PROTOCOL_VIOLATION", `there are ${parts.length} parts`);
      if (parts.length > maxPartsPerMessage / 2 && this.#has("takes half a message"))
        throw new Rejected("PROTOCOL_VIOLATION", "that is too much");
      for (const part of parts) this.#part(part);
    } catch (error) {
      this.#fail(error);
    }
    this.#flush();
  }

  #part(part: Part<UploadHeader>): void {
    if (part.data.length > maxPartDataBytes && !this.#has("takes whatever parts come"))
      throw new Rejected("PROTOCOL_VIOLATION", "too much data");
    if (part.header) this.#begin(part.header, part.finish !== undefined);
    const current = this.#current;
    if (!current) {
      if (this.#has("takes whatever parts come")) return;
      throw new Rejected("PROTOCOL_VIOLATION", "data before a header");
    }
    this.#checkOffset(current, part);
    if (current === "skipped" || current.last) return;
    try {
      this.#data(current, part);
      if (!part.finish) return;
      this.#current = undefined;
      this.#uploads.finish(current, part.finish);
    } catch (error) {
      if (!(error instanceof Rejected) || this.#has("ends the stream at a bad file")) throw error;
      this.#current = "skipped";
      this.#uploads.reject(current, error);
    }
  }

  #begin(header: UploadHeader, isWhole: boolean): void {
    this.#giveUp();
    this.#nextOffset = undefined;
    this.#current = "skipped";
    let upload: HeldUpload;
    try {
      upload = this.#uploads.open(header);
    } catch (error) {
      if (!(error instanceof Rejected) || this.#has("ends the stream at a bad file")) throw error;
      this.#push(header.uploadId, 0n, { $case: "rejected", value: this.#uploads.rules.rejection(error) });
      return;
    }
    if (upload.last) {
      if (isWhole || !this.#has("waits for the file before it says that it is stored")) this.#tellAgain(upload);
      return;
    }
    this.#awaited.add(upload);
    upload.listeners.add(this);
    if (!upload.isReceiving) return;
    const before = upload.sender;
    if (before && before !== this && !this.#has("takes bytes from two connections at once")) {
      upload.listeners.delete(before);
      before.tell(upload, {
        $case: "rejected",
        value: this.#uploads.rules.rejection(new Rejected("SUPERSEDED", "a newer connection sends this upload")),
      });
    }
    if (!before && this.#has("begins anew after a break")) {
      upload.chunks = [];
      upload.receivedBytes = 0;
    }
    upload.sender = this;
    this.#current = upload;
    if (isWhole || this.#has("never says accepted")) return;
    const tooMuch = upload.receivedBytes > 0 && this.#has("tells a resume offset that is too large") ? 1 : 0;
    const resumeOffset = BigInt(upload.receivedBytes + tooMuch);
    this.#push(upload.header.uploadId, upload.requestNumber, { $case: "accepted", value: { resumeOffset } });
  }

  #tellAgain({ header, requestNumber, last }: HeldUpload): void {
    if (last?.$case === "stored" && last.value.receipt && this.#has("gives another receipt each time"))
      last.value.receipt = { ...last.value.receipt, attempts: last.value.receipt.attempts + 1 };
    this.#push(header.uploadId, requestNumber, last);
  }

  #checkOffset(current: HeldUpload | "skipped", { offset, data }: Part<UploadHeader>): void {
    if (data.length === 0 || this.#has("takes offsets that leave a gap") || this.#has("takes whatever parts come"))
      return;
    const received = current === "skipped" ? offset : current.receivedBytes;
    if (offset !== (this.#nextOffset ?? offset) || offset > received)
      throw new Rejected(
        "PROTOCOL_VIOLATION",
        `the data begins at ${offset}; expected ${this.#nextOffset ?? received}`,
      );
    this.#nextOffset = offset + data.length;
  }

  #data(upload: HeldUpload, { offset, data, crc32c: said }: Part<UploadHeader>): void {
    if (said !== undefined && said !== crc32c(data) && !this.#has("ignores crc32c"))
      throw new Rejected("CHECKSUM_MISMATCH", "the CRC-32C differs");
    const knownBytes = this.#has("keeps bytes that it has twice") ? 0 : Math.max(0, upload.receivedBytes - offset);
    if (knownBytes < data.length) this.#uploads.append(upload, data.subarray(knownBytes));
  }

  /** The client goes on with another file, or not at all. */
  #giveUp(): void {
    if (typeof this.#current !== "object") return;
    const upload = this.#current;
    this.#current = undefined;
    this.#awaited.delete(upload);
    upload.listeners.delete(this);
    if (upload.sender === this) upload.sender = undefined;
    if (this.#has(this.#isLeaving ? "forgets unfinished uploads" : "forgets a file when the next one begins"))
      this.#uploads.forget(upload);
  }

  #leave(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#giveUp();
    for (const upload of this.#awaited) upload.listeners.delete(this);
    if (this.#has("forgets queued files when their client leaves"))
      for (const upload of this.#queued) this.#uploads.forget(upload);
  }

  #push(uploadId: string, requestNumber: bigint, event: UploadEvent["event"]): void {
    this.#events.push({ uploadId, requestNumber, event });
    if (this.#has("answers twice")) this.#events.push({ uploadId, requestNumber, event });
  }

  #flush(): void {
    if (this.#isOver) return;
    const events = this.#events;
    this.#events = [];
    const [first, second] = events;
    if (first && second && this.#has("answers for the wrong file"))
      [first.uploadId, second.uploadId] = [second.uploadId, first.uploadId];
    if (events.length > 0) this.#call.write({ events });
    if (
      this.#clientDone &&
      this.#awaited.size === 0 &&
      !this.#has("leaves the stream open when its sender has closed it")
    )
      this.#call.end();
  }

  #fail(error: unknown): void {
    if (!(error instanceof Rejected)) throw error;
    this.#flush();
    this.#call.emit("error", this.#uploads.rules.status(error));
  }

  #has(fault: BalancerFault): boolean {
    return this.#fault === fault;
  }
}
