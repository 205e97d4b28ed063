import type { Rejection } from "../domain/errors.js";
import type { Receipt, UploadDescription } from "../domain/upload.js";
import type { Chunk } from "./content.js";

/** The queue as intake sees it: where uploads come in. */
export interface Inbox {
  /**
   * Begins an upload, takes up one that was broken off, or joins one that is known. The listener hears of it until it is final, or until
   * `leave`. A stream that was still sending the same upload is told `SUPERSEDED`.
   */
  open(description: UploadDescription, listener: UploadListener): Opened;
  /** The listener is gone: it is told nothing more, and what it was sending can be resumed by another. */
  leave(requestNumber: bigint, listener: UploadListener): void;
}

/** What `Inbox.open` answers. */
export type Opened =
  /** The bytes are wanted, from `upload.receivedBytes` on. */
  | { readonly kind: "receiving"; readonly upload: IncomingUpload }
  /** The bytes are all there already. `told`: the listener has just been told what it waits for; else it will be. */
  | { readonly kind: "known"; readonly requestNumber: bigint; readonly told: boolean }
  /** Not let in. Nothing is kept. */
  | { readonly kind: "rejected"; readonly rejection: Rejection };

/** An upload whose bytes arrive. Ends with `complete` or `reject`, or with `Inbox.leave`. */
export interface IncomingUpload {
  readonly requestNumber: bigint;
  readonly receivedBytes: number;
  /** Takes the next chunk, which must begin at `receivedBytes`. A file that grows too large is rejected through the listener. */
  append(chunk: Chunk): void;
  /** Resolves when more bytes can be taken without piling up in memory; `undefined` when that is now. */
  ready(): Promise<void> | undefined;
  /** All bytes are there. Rejects the upload through the listener when size or digest contradict what was said before. */
  complete(end: { readonly sizeBytes?: number | undefined; readonly sha256?: Uint8Array | undefined }): void;
  /** Gives the upload up; the listener is told. Nothing of it is kept where the reason is retryable, so that it can be sent again. */
  reject(rejection: Rejection): void;
}

/** A client's stream, waiting for news. Called synchronously; must not throw. */
export interface UploadListener {
  /** Who the client is, for logs: its peer address. */
  readonly client: string;
  uploadProgress(uploadId: string, requestNumber: bigint, progress: UploadProgress): void;
}

/** What a client is told of an upload. `stored` and `rejected` are the last. */
export type UploadProgress =
  | { readonly kind: "queued" }
  | { readonly kind: "stored"; readonly receipt: Receipt }
  | { readonly kind: "rejected"; readonly rejection: Rejection };
