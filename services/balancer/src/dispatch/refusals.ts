import { RefuseReason } from "@bilancia/proto/gen/storage";
import { shortText } from "@bilancia/proto/status-text";
import type { RejectReason } from "../domain/errors.js";
import type { Failure } from "../domain/retry.js";

/** Refusals that are the file's own fault: no server will take it. */
const unacceptable = new Map<RefuseReason, RejectReason>([
  [RefuseReason.REFUSE_REASON_INVALID_NAME, "INVALID_NAME"],
  [RefuseReason.REFUSE_REASON_INVALID_HEADER, "INVALID_HEADER"],
  [RefuseReason.REFUSE_REASON_DIGEST_MISMATCH, "DIGEST_MISMATCH"],
  [RefuseReason.REFUSE_REASON_SIZE_MISMATCH, "SIZE_MISMATCH"],
  [RefuseReason.REFUSE_REASON_NOT_A_TEXT_DOCUMENT, "NOT_A_TEXT_DOCUMENT"],
]);

/** Most characters kept of what a server says for people: it is remembered with every attempt. */
const maxMessageChars = 500;

/** What a server says, which may be of any length, as it is kept. */
export function shortened(message: string): string {
  return shortText(message, maxMessageChars);
}

/**
 * What a server's refusal means for the delivery.
 *
 * @param everyServerRefused whether no server is left that has not refused this file
 */
export function refusalFailure(reason: RefuseReason, message: string, everyServerRefused: boolean): Failure {
  const rejectReason = unacceptable.get(reason);
  if (rejectReason) return { kind: "unacceptable", rejection: { reason: rejectReason, message } };
  if (reason === RefuseReason.REFUSE_REASON_TOO_LARGE && everyServerRefused) {
    return { kind: "unacceptable", rejection: { reason: "TOO_LARGE", message } };
  }
  return { kind: "refused", message };
}

/** Whether a refusal speaks against the server, rather than for another one: it could not do what it should. */
export function isServersFault(reason: RefuseReason): boolean {
  switch (reason) {
    case RefuseReason.REFUSE_REASON_UNSPECIFIED:
    case RefuseReason.REFUSE_REASON_CHECKSUM_MISMATCH:
    case RefuseReason.REFUSE_REASON_NO_SPACE:
    case RefuseReason.REFUSE_REASON_INTERNAL:
      return true;
    default:
      return false;
  }
}
