import type { Receipt, UploadRejected } from "@bilancia/proto/gen/balancer";

/** When a file counts as done: `stored` on a storage server's disk, or `queued` in the balancer, which goes on alone. */
export type AckStage = "stored" | "queued";

interface Answered {
  /** The balancer's number for the upload; 0 when it never got one. */
  readonly requestNumber: bigint;
  readonly uploadId: string;
  readonly name: string;
  /** Length of the file in bytes; of what was read, where the length was not known. */
  readonly sizeBytes: number;
  /** From the first byte sent to the answer. */
  readonly elapsedMs: number;
}

/** How one file ended. `rejected` is the balancer's no; `failed` is everything that happened on this side or in between. */
export type UploadResult =
  | (Answered & { readonly state: "stored"; readonly receipt: Receipt })
  | (Answered & { readonly state: "queued" })
  | (Answered & { readonly state: "rejected"; readonly rejection: UploadRejected })
  | (Answered & {
      readonly state: "failed";
      readonly message: string;
      /** Whether the balancer has given its last answer, one that cannot be believed: the same upload id would get it again. */
      readonly answered: boolean;
    });

/** A file of which something may have been sent, without a result when its upload was stopped. */
export interface UnansweredFile {
  /** 0 when the balancer has not told it yet. */
  readonly requestNumber: bigint;
  readonly uploadId: string;
  readonly name: string;
  readonly sizeBytes: number | undefined;
  /** Whether all of it has been handed to a connection. */
  readonly allSent: boolean;
}

/** Where all the files of an upload are together. */
export interface UploadProgress {
  /** Files taken from the sources so far. */
  readonly foundFiles: number;
  /** Bytes of these, as far as their lengths are known. */
  readonly foundBytes: number;
  /** Bytes done with: handed to the connection, once each, and those of files that needed no sending. */
  readonly sentBytes: number;
  /** Files that have their result. */
  readonly endedFiles: number;
}

/** Where a file stands in the balancer's line, about. */
export interface UploadPlace {
  readonly name: string;
  /** 1 for the next one. */
  readonly position: number;
  readonly bytesAhead: number;
  /** Until its turn; `undefined` while nobody can tell. */
  readonly startsInMs: number | undefined;
}

/** Something that happened to the connection or to a file, for logs and screens. */
export type UploadNotice =
  | { readonly type: "connected"; readonly address: string }
  | { readonly type: "connection-lost"; readonly address: string; readonly why: string }
  | { readonly type: "rejected-for-now"; readonly name: string; readonly message: string; readonly retryInMs: number };

/** How an upload is made. */
export interface UploadOptions {
  /** When a file counts as done. Default: `stored`. */
  readonly ack?: AckStage | undefined;
  /** Called often; must be quick. */
  readonly onProgress?: ((progress: UploadProgress) => void) | undefined;
  /** Told every second where the file stands that has waited longest; `undefined` where none stands in line. Default: the balancer is not asked. */
  readonly onPlace?: ((place: UploadPlace | undefined) => void) | undefined;
  readonly onNotice?: ((notice: UploadNotice) => void) | undefined;
  /** Stops the upload: the iteration ends with an `UploadAbortedError`, which tells the files without a result. Files queued with the balancer stay there. */
  readonly signal?: AbortSignal | undefined;
}
