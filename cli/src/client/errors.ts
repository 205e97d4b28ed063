import type { UnansweredFile } from "./upload-types.js";

/** The balancer, or a service of it, could not be reached at all. The message names the address. */
export class UnreachableError extends Error {
  constructor(
    readonly address: string,
    why: string,
    what = "the balancer",
    options?: ErrorOptions,
  ) {
    super(`cannot reach ${what} at ${address}: ${why}`, options);
  }
}

/** The balancer ended the stream in a way that trying again cannot mend. `code` is the name of the gRPC status. */
export class BalancerError extends Error {
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A source could not give its bytes: it is gone, may not be read, or has changed. The message is for people. */
export class SourceError extends Error {}

/** The upload was stopped by its `AbortSignal`. `unanswered` are the files that were begun and have no result: the balancer may go on with them. */
export class UploadAbortedError extends Error {
  constructor(
    reason: unknown,
    readonly unanswered: readonly UnansweredFile[],
  ) {
    super("the upload was stopped", { cause: reason });
  }
}
