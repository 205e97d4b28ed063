import type { PartBatch } from "@bilancia/proto/part-codec";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { Payload } from "./payload.js";

/** What identifies a file on its stream. */
export type FileKey = string | bigint;

/** A file that a storage server has: what `Storage.Discard` needs to remove it. */
export interface StoredFile {
  readonly requestNumber: bigint;
  readonly uploadId: string;
  /** The ledger that numbered it; empty for the balancer's own. */
  readonly origin: string;
}

/** What came back for a file. */
export type Answer = { readonly key: FileKey } & (
  | { readonly kind: "queued" }
  | { readonly kind: "stored"; readonly sizeBytes: bigint; readonly sha256: Uint8Array; readonly file: StoredFile }
  | { readonly kind: "failed"; readonly message: string }
);

/** How a kind of server is talked to: everything in which balancer and storage server differ for the load engine. */
export interface Dialect<Header, Response> {
  /** Opens a call. @param index streams with different indexes may use different connections */
  open(index: number): ClientDuplexStream<PartBatch<Header>, Response>;
  /** Names a new file. */
  begin(payload: Payload): { readonly key: FileKey; readonly header: Header };
  answers(response: Response): Answer[];
  close(): void;
}
