import { createHash, type Hash, randomUUID } from "node:crypto";
import { Ack, Priority, type UploadHeader } from "@bilancia/proto/gen/balancer";
import { type Finish, Kind } from "@bilancia/proto/gen/storage";
import type { Part } from "@bilancia/proto/part-codec";
import { crc32c } from "@node-rs/crc32";
import type { UploadPriority, UploadSource } from "./upload-source.js";
import type { AckStage } from "./upload-types.js";

/** A piece of a file as it goes to the balancer. */
export type UploadPart = Part<UploadHeader>;

/** A file known to be no longer than this goes as one part, several to a message. In bytes. */
export const smallFileBytes = 64 * 1024;

const priorityCodes: Readonly<Record<UploadPriority, Priority>> = {
  low: Priority.PRIORITY_LOW,
  normal: Priority.PRIORITY_UNSPECIFIED,
  high: Priority.PRIORITY_HIGH,
};

const noBytes = new Uint8Array(0);

/**
 * Where a file stands on the present connection: `ready` to be sent; `asking` from where to go on; `overdue`, that answer did
 * not come in time; `sending`; `sent`, the last answer is awaited; `waiting` to be tried again later.
 */
export type UploadPhase = "ready" | "asking" | "overdue" | "sending" | "sent" | "waiting";

/** One file on its way: its identity, what has been sent of it, and its digest as far as it has been read. */
export class Upload {
  readonly uploadId: string;
  phase: UploadPhase = "ready";
  /** Whether the balancer may have seen its header; only for large files, which are then gone on with. */
  known: boolean;
  requestNumber = 0n;
  /** How often it has been rejected with leave to try again. */
  rejectionCount = 0;
  /** The most of it that was ever handed to a connection, in bytes. */
  sentBytes = 0;
  /** From where the balancer wants it; set by its answer while `asking`. */
  resumeBytes = 0;
  begunAtMs: number | undefined;
  /** What the balancer was told at its end; `undefined` while it was not read to there. */
  announced: Finish | undefined;
  #hash: Hash = createHash("sha256");
  #hashedBytes = 0;

  constructor(
    readonly source: UploadSource,
    readonly ack: AckStage,
  ) {
    this.uploadId = source.identity?.uploadId ?? randomUUID();
    this.known = source.identity?.known ?? false;
  }

  get small(): boolean {
    return this.source.sizeBytes !== undefined && this.source.sizeBytes <= smallFileBytes;
  }

  /** How far the digest has come, in bytes: reading may begin here or before, never after. */
  get hashedBytes(): number {
    return this.#hashedBytes;
  }

  get header(): UploadHeader {
    const { name, sizeBytes, contentType, kind, priority = "normal" } = this.source;
    return {
      uploadId: this.uploadId,
      name,
      sizeBytes: sizeBytes === undefined ? undefined : BigInt(sizeBytes),
      contentType,
      kind: kind === "text" ? Kind.KIND_TEXT_DOCUMENT : Kind.KIND_BINARY,
      ack: this.ack === "queued" ? Ack.ACK_QUEUED : Ack.ACK_STORED,
      labels: {},
      priority: priorityCodes[priority],
    };
  }

  /** Takes a piece into the digest; what is in it already, from an earlier reading, is left out. */
  absorb(offset: number, piece: Uint8Array): void {
    const fresh = piece.subarray(Math.max(0, this.#hashedBytes - offset));
    this.#hash.update(fresh);
    this.#hashedBytes += fresh.length;
  }

  /** The whole file as one part, for a small one. */
  wholePart(bytes: Uint8Array): UploadPart {
    const sha256 = createHash("sha256").update(bytes).digest();
    this.announced = { sizeBytes: BigInt(bytes.length), sha256 };
    return { header: this.header, offset: 0, data: bytes, crc32c: crc32c(bytes), finish: this.announced };
  }

  /** The part that begins the file, without bytes. */
  headerPart(): UploadPart {
    return { header: this.header, offset: 0, data: noBytes };
  }

  dataPart(offset: number, data: Uint8Array): UploadPart {
    return { offset, data, crc32c: crc32c(data) };
  }

  /** The part that ends the file, with its length and its digest. */
  finishPart(): UploadPart {
    this.announced = { sizeBytes: BigInt(this.#hashedBytes), sha256: this.#hash.copy().digest() };
    return { offset: this.#hashedBytes, data: noBytes, finish: this.announced };
  }
}
