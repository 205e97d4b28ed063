import { rejectReasonToJSON, type UploadRejected } from "@bilancia/proto/gen/balancer";
import { fromTimestamp } from "@bilancia/proto/time";
import type { UploadResult } from "../client/upload-types.js";

/** A value that JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** A number for JSON: as such while it is exact there, as a string beyond 2^53. */
export function jsonNumber(value: bigint | number): number | string {
  return BigInt(value) <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);
}

/** A moment for JSON (ISO 8601, UTC), or `null`. */
export function jsonTime(timestamp: Parameters<typeof fromTimestamp>[0] | undefined): string | null {
  return timestamp ? new Date(fromTimestamp(timestamp)).toISOString() : null;
}

/** Bytes as hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** The short name of a reason, for example `NOT_A_TEXT_DOCUMENT`. */
export function reasonName(rejection: UploadRejected): string {
  return rejectReasonToJSON(rejection.reason).replace("REJECT_REASON_", "");
}

/** One upload as an object for scripts. Every key is always there, except `lettersA`, `reason` and `message`, which not every file has. */
export function uploadJson(result: UploadResult): Json {
  const receipt = result.state === "stored" ? result.receipt : undefined;
  return {
    requestNumber: result.requestNumber === 0n ? null : jsonNumber(result.requestNumber),
    uploadId: result.uploadId,
    name: result.name,
    sizeBytes: jsonNumber(result.sizeBytes),
    server: receipt?.server ?? null,
    storedName: receipt?.storedName ?? null,
    sha256: receipt ? hex(receipt.sha256) : null,
    attempts: receipt?.attempts ?? null,
    state: result.state,
    ...(receipt?.textStats ? { lettersA: jsonNumber(receipt.textStats.lettersA) } : {}),
    ...(result.state === "rejected"
      ? { reason: reasonName(result.rejection), message: result.rejection.message }
      : result.state === "failed"
        ? { message: result.message }
        : {}),
  };
}
