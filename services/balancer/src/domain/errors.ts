/**
 * The closed catalogue of reasons for which the balancer does not take a file or ends a call. `code` is the gRPC status
 * for calls that end with it. `docs/errors.md` and `RejectReason` in `balancer.proto` list the same; a test compares the three.
 */
export const rejectReasons = {
  INVALID_NAME: { code: "INVALID_ARGUMENT", retryable: false },
  INVALID_UPLOAD_ID: { code: "INVALID_ARGUMENT", retryable: false },
  INVALID_HEADER: { code: "INVALID_ARGUMENT", retryable: false },
  UPLOAD_ID_CONFLICT: { code: "ALREADY_EXISTS", retryable: false },
  CHECKSUM_MISMATCH: { code: "DATA_LOSS", retryable: true },
  DIGEST_MISMATCH: { code: "INVALID_ARGUMENT", retryable: false },
  SIZE_MISMATCH: { code: "INVALID_ARGUMENT", retryable: false },
  TOO_LARGE: { code: "INVALID_ARGUMENT", retryable: false },
  NOT_A_TEXT_DOCUMENT: { code: "INVALID_ARGUMENT", retryable: false },
  QUEUE_FULL: { code: "RESOURCE_EXHAUSTED", retryable: true },
  CANCELLED: { code: "CANCELLED", retryable: false },
  SUPERSEDED: { code: "ABORTED", retryable: true },
  ATTEMPTS_EXHAUSTED: { code: "UNAVAILABLE", retryable: true },
  DEADLINE_EXCEEDED: { code: "DEADLINE_EXCEEDED", retryable: true },
  SHUTTING_DOWN: { code: "UNAVAILABLE", retryable: true },
  INTERNAL: { code: "INTERNAL", retryable: true },
  PROTOCOL_VIOLATION: { code: "INVALID_ARGUMENT", retryable: false },
  UNKNOWN_UPLOAD: { code: "NOT_FOUND", retryable: false },
  NOT_CANCELLABLE: { code: "FAILED_PRECONDITION", retryable: false },
  NOT_A_DEAD_LETTER: { code: "FAILED_PRECONDITION", retryable: false },
  UNKNOWN_SERVER: { code: "NOT_FOUND", retryable: false },
  SERVER_MISMATCH: { code: "FAILED_PRECONDITION", retryable: false },
  SERVER_UNREACHABLE: { code: "UNAVAILABLE", retryable: true },
  SERVER_EXISTS: { code: "ALREADY_EXISTS", retryable: false },
  SERVER_IN_USE: { code: "FAILED_PRECONDITION", retryable: false },
} as const;

export type RejectReason = keyof typeof rejectReasons;

/** Why a file is not taken. `message` is for people: what was wrong, what was expected, what came. */
export interface Rejection {
  readonly reason: RejectReason;
  readonly message: string;
  /** When it is worth trying again, in milliseconds from now. */
  readonly retryAfterMs?: number;
}

/** The one error class of the balancer: a refusal that ends a call. */
export class BilanciaError extends Error {
  readonly reason: RejectReason;

  constructor(reason: RejectReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
