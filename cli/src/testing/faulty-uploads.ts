import { createHash, randomUUID } from "node:crypto";
import {
  Ack,
  Priority,
  type QueryUploadRequest,
  type QueryUploadResponse,
  type Receipt,
  type UploadEvent,
  type UploadHeader,
  UploadState,
} from "@bilancia/proto/gen/balancer";
import { type Finish, Kind, type TextStats } from "@bilancia/proto/gen/storage";
import { isUuid } from "@bilancia/proto/header-rules";
import { toTimestamp } from "@bilancia/proto/time";
import type { BalancerFault } from "./balancer-faults.js";
import { HeaderRules, Rejected } from "./faulty-rules.js";

type Event = NonNullable<UploadEvent["event"]>;

/** Whoever wants to hear of an upload: a stream. */
export interface Listener {
  tell(upload: HeldUpload, event: Event): void;
}

/** What is held of one upload. */
export class HeldUpload {
  chunks: Uint8Array[] = [];
  receivedBytes = 0;
  state = UploadState.UPLOAD_STATE_RECEIVING;
  /** The stream whose bytes are taken. */
  sender: Listener | undefined;
  readonly listeners = new Set<Listener>();
  last: Extract<Event, { $case: "stored" | "rejected" }> | undefined;

  constructor(
    readonly header: UploadHeader,
    readonly requestNumber: bigint,
  ) {}

  get isReceiving(): boolean {
    return this.state === UploadState.UPLOAD_STATE_RECEIVING;
  }

  tell(event: Event): void {
    for (const listener of [...this.listeners]) listener.tell(this, event);
  }
}

/** The uploads that a `FaultyBalancer` knows. They outlive a restart. */
export class FaultyUploads {
  readonly #fault: BalancerFault | undefined;
  readonly rules: HeaderRules;
  readonly #byId = new Map<string, HeldUpload>();
  readonly #byNumber = new Map<bigint, HeldUpload>();
  #lastNumber = 0n;
  #restarted = false;

  constructor(fault: BalancerFault | undefined) {
    this.#fault = fault;
    this.rules = new HeaderRules(fault);
  }

  /** How many files are not stored, nor given up. */
  get waitingCount(): number {
    return [...this.#byNumber.values()].filter(({ last }) => !last).length;
  }

  restarted(): void {
    this.#restarted = true;
    for (const upload of this.#byNumber.values()) {
      const isQueued = upload.header.ack === Ack.ACK_QUEUED;
      if (upload.last?.$case === "stored" && this.#has("forgets receipts at a restart")) this.forget(upload);
      if (isQueued && this.#has("forgets queued files at a restart")) this.forget(upload);
    }
    if (this.#has("counts from 1 again after a restart")) this.#lastNumber = 0n;
  }

  /** The upload that a header begins, or goes on with. @throws Rejected */
  open(given: UploadHeader): HeldUpload {
    this.rules.check(given);
    const chosenId = this.#has("chooses ids that are no UUIDs") ? `chosen-${this.#lastNumber}` : randomUUID();
    const header = given.uploadId === "" ? { ...given, uploadId: chosenId } : given;
    const known = this.#byId.get(header.uploadId);
    if (known && !(known.last && this.#has("knows no upload again"))) {
      this.rules.checkSame(known.header, header);
      if (known.isReceiving && this.#restarted && this.#has("takes no unfinished upload after a restart"))
        throw new Rejected("INTERNAL", "the upload was lost");
      return known;
    }
    this.rules.checkRoom(Number(header.sizeBytes ?? 0n), this.waitingCount);
    const upload = new HeldUpload(header, ++this.#lastNumber);
    this.#byId.set(header.uploadId, upload);
    this.#byNumber.set(upload.requestNumber, upload);
    return upload;
  }

  /** Takes bytes that continue the upload. @throws Rejected when they are too many */
  append(upload: HeldUpload, data: Uint8Array): void {
    upload.receivedBytes += data.length;
    this.rules.checkRoom(upload.receivedBytes, 0);
    const { sizeBytes } = upload.header;
    if (sizeBytes !== undefined && upload.receivedBytes > sizeBytes && !this.#has("ignores the announced length"))
      throw new Rejected("SIZE_MISMATCH", `more than ${sizeBytes} bytes came`);
    upload.chunks.push(data);
  }

  /** Ends an upload. @throws Rejected when it is not what was said */
  finish(upload: HeldUpload, finish: Finish): void {
    const { header, receivedBytes } = upload;
    const sha256 = digest(upload.chunks);
    for (const said of [header.sizeBytes, finish.sizeBytes])
      if (said !== undefined && said !== BigInt(receivedBytes) && !this.#has("ignores the announced length"))
        throw new Rejected("SIZE_MISMATCH", `${receivedBytes} bytes came; expected ${said}`);
    for (const said of [header.sha256, finish.sha256])
      if (said && !sha256.equals(said) && !this.#has("ignores the announced digest"))
        throw new Rejected("DIGEST_MISMATCH", "the SHA-256 differs");
    const textStats = header.kind === Kind.KIND_TEXT_DOCUMENT ? this.rules.count(upload.chunks) : undefined;
    const isQueued = header.ack === Ack.ACK_QUEUED;
    upload.state = UploadState.UPLOAD_STATE_QUEUED;
    upload.sender = undefined;
    if (this.#has("says queued to everybody") || (isQueued && !this.#has("says stored without queued")))
      upload.tell({ $case: "queued", value: {} });
    const last = upload.chunks.slice(-1);
    const receipt = this.#receipt(
      upload,
      this.#has("tells the digest of the last message only") ? digest(last) : sha256,
      textStats,
    );
    upload.chunks = [];
    if (isQueued) setImmediate(() => this.#end(upload, { $case: "stored", value: { receipt } }));
    else this.#end(upload, { $case: "stored", value: { receipt } });
  }

  /** Gives an upload up. */
  reject(upload: HeldUpload, rejected: Rejected): void {
    const value = this.rules.rejection(rejected);
    if (value.retryable) this.#byId.delete(upload.header.uploadId);
    this.#end(upload, { $case: "rejected", value });
  }

  forget(upload: HeldUpload): void {
    this.#byId.delete(upload.header.uploadId);
    this.#byNumber.delete(upload.requestNumber);
  }

  /** @throws Rejected */
  cancel(key: QueryUploadRequest["key"]): void {
    const upload = this.#find(key);
    const isStored = upload.last?.$case === "stored";
    if (isStored && !this.#has("cancels what is stored")) throw new Rejected("NOT_CANCELLABLE", "it is stored");
    if (upload.last && !isStored) return;
    if (this.#has("cancels without telling the client")) upload.listeners.clear();
    this.reject(upload, new Rejected("CANCELLED", "the upload was cancelled"));
  }

  /** @throws Rejected */
  query(key: QueryUploadRequest["key"]): QueryUploadResponse {
    const upload = this.#find(key);
    const { header, requestNumber, receivedBytes, last } = upload;
    const { uploadId, name, sizeBytes } = header;
    const receipt = last?.$case === "stored" ? last.value.receipt : undefined;
    const isHidden = upload.isReceiving && this.#has("says that unfinished uploads are queued");
    return {
      ...{ uploadId, requestNumber, name, persistedBytes: BigInt(receivedBytes) },
      sizeBytes: upload.isReceiving ? sizeBytes : BigInt(receivedBytes),
      state: isHidden ? UploadState.UPLOAD_STATE_QUEUED : upload.state,
      attempts: receipt ? [{ number: 1, server: receipt.server, outcome: 1, message: "", startedAt: undefined }] : [],
      receipt: receipt && this.#has("tells another receipt when it is asked") ? { ...receipt, attempts: 2 } : receipt,
      rejection: last?.$case === "rejected" ? last.value : undefined,
      receivedAt: toTimestamp(0),
      place: undefined,
      priority: this.#has("tells another priority")
        ? Priority.PRIORITY_LOW
        : header.priority || Priority.PRIORITY_NORMAL,
    };
  }

  #find(key: QueryUploadRequest["key"]): HeldUpload {
    const isGood = key?.$case === "uploadId" ? isUuid(key.value) : key !== undefined && key.value > 0n;
    if (!isGood && !this.#has("takes malformed keys for unknown ones"))
      throw new Rejected("INVALID_HEADER", "expected an upload id or a request number");
    const isByNumber = key?.$case === "requestNumber" && !this.#has("knows uploads by their ids only");
    const upload =
      key?.$case === "uploadId" ? this.#byId.get(key.value) : isByNumber ? this.#byNumber.get(key.value) : undefined;
    if (upload) return upload;
    if (isGood && this.#has("knows uploads that nobody sent")) return new HeldUpload(unknownHeader, 1n);
    throw new Rejected("UNKNOWN_UPLOAD", "no upload has this id or number");
  }

  #end(upload: HeldUpload, event: NonNullable<HeldUpload["last"]>): void {
    if (upload.last?.$case === "rejected") return;
    upload.state = event.$case === "stored" ? UploadState.UPLOAD_STATE_STORED : UploadState.UPLOAD_STATE_DEAD;
    upload.sender = undefined;
    upload.last = event;
    upload.tell(event);
    upload.listeners.clear();
  }

  #receipt(
    { header, requestNumber, receivedBytes }: HeldUpload,
    sha256: Buffer,
    textStats: TextStats | undefined,
  ): Receipt {
    return {
      ...{ requestNumber, uploadId: header.uploadId, name: header.name, sha256, attempts: 1, textStats },
      server: this.#has("names no server") ? "" : "storage-1",
      storedName: `${requestNumber}_${header.name}`,
      sizeBytes: BigInt(receivedBytes) + (this.#has("tells a length that is one too large") ? 1n : 0n),
      storedAt: toTimestamp(1_800_000_000_000),
    };
  }

  #has(fault: BalancerFault): boolean {
    return this.#fault === fault;
  }
}

const unknownHeader: UploadHeader = {
  ...{ uploadId: "", name: "", sizeBytes: undefined, sha256: undefined, contentType: "" },
  ...{ kind: Kind.KIND_BINARY, ack: Ack.ACK_STORED, labels: {}, priority: 0 },
};

function digest(chunks: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest();
}
