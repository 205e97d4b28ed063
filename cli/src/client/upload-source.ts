/** What a file is to the storage server: `text` is a JSON document with a title and a content, `binary` is any bytes. */
export type DocumentKind = "text" | "binary";

/** How urgent a file is among those of the same client that wait at the balancer. It changes nothing for other clients. */
export type UploadPriority = "low" | "normal" | "high";

/** The id that an upload is to have. */
export interface UploadIdentity {
  /** A UUID. */
  readonly uploadId: string;
  /** Whether the balancer may have seen it already; a large file is then gone on with. */
  readonly known: boolean;
}

/**
 * Where the bytes of one file come from. A source can be opened more than once, because a file is read again after a lost connection.
 * The bytes must be the same each time; a source that finds that they are not throws while it is read, and that file fails.
 */
export interface UploadSource {
  /** The file's name, as it will be stored: no path, 1-200 bytes of UTF-8. */
  readonly name: string;
  /** Its length in bytes, where it is known. Files known to be small travel several to a message. */
  readonly sizeBytes?: number | undefined;
  readonly kind: DocumentKind;
  /** Media type, for example `application/json`; may be empty. */
  readonly contentType: string;
  /** Default: `normal`. It counts among the files that go over the same `BilanciaClient`. */
  readonly priority?: UploadPriority | undefined;
  /** Where it is given, the upload is kept by the balancer whatever comes, to be gone on with later. Default: an id of its own. */
  readonly identity?: UploadIdentity | undefined;
  /** Reads from a position, in bytes, to the end. Pieces may have any size; a piece given away must not be written to again. */
  open(offsetBytes: number): AsyncIterable<Uint8Array>;
}

/** A source over bytes that are in memory. */
export function bytesSource(name: string, bytes: Uint8Array, kind: DocumentKind = "binary"): UploadSource {
  return {
    name,
    sizeBytes: bytes.length,
    kind,
    contentType: kind === "text" ? "application/json" : "application/octet-stream",
    async *open(offsetBytes) {
      if (offsetBytes < bytes.length) yield bytes.subarray(offsetBytes);
    },
  };
}
