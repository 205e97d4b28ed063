import { RejectReason as RejectCode, type UploadRejected } from "@bilancia/proto/gen/balancer";
import { statusText } from "@bilancia/proto/status-text";
import { toDuration } from "@bilancia/proto/time";
import { type ServiceError, status } from "@grpc/grpc-js";
import { BilanciaError, type Rejection, type RejectReason, rejectReasons } from "../domain/errors.js";

/** The one place where the catalogue of `domain/errors.ts` meets the wire: event fields and gRPC status codes. */

/** The enum value of a reason. */
export function rejectCode(reason: RejectReason): RejectCode {
  return RejectCode[`REJECT_REASON_${reason}`];
}

/** A rejection as the event that a client gets. */
export function toUploadRejected({ reason, message, retryAfterMs }: Rejection): UploadRejected {
  return {
    reason: rejectCode(reason),
    message,
    retryable: rejectReasons[reason].retryable,
    retryAfter: retryAfterMs === undefined ? undefined : toDuration(retryAfterMs),
  };
}

/** What a call ends with. Unknown errors are reported without their words: those may name internal paths. */
export function toStatus(error: unknown): Pick<ServiceError, "code" | "details"> {
  if (error instanceof BilanciaError) {
    return { code: status[rejectReasons[error.reason].code], details: statusText(`${error.reason}: ${error.message}`) };
  }
  return { code: status.INTERNAL, details: "INTERNAL: the balancer failed; its log says why" };
}
