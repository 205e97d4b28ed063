/** What a file is to the storage server: `text` is a JSON document with a title and a content, `binary` is any bytes. */
export type DocumentKind = "text" | "binary";

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
