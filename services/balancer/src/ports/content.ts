/** A piece of a file. `data` may be kept; nobody writes to it. */
export interface Chunk {
  /** Position of `data` in the file, in bytes. */
  readonly offset: number;
  readonly data: Uint8Array;
  /** CRC-32C of `data`; has been checked. */
  readonly crc32c: number;
  /** The whole message, where it holds this chunk and nothing else: it can be passed on as it is. */
  readonly raw?: Buffer | undefined;
}

/** What a read brings: a chunk, the end, or the news that the client left or the upload was cancelled. */
export type Content =
  | { readonly kind: "chunk"; readonly chunk: Chunk }
  | { readonly kind: "end"; readonly sizeBytes: number; readonly sha256?: Uint8Array | undefined }
  | { readonly kind: "broken"; readonly message: string };

/** Thrown where bytes cannot be read now. No server has anything to do with it, and no attempt is counted. */
export class ContentUnreadable extends Error {}

/** Reads a file's bytes in order, following the client while they still arrive. */
export interface ContentReader {
  /** @throws ContentUnreadable */
  next(): Content | Promise<Content>;
  close(): void;
}
