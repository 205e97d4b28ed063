import {
  Priority,
  type QueryUploadResponse,
  type Receipt as ReceiptMessage,
  type UploadEvent,
} from "@bilancia/proto/gen/balancer";
import { toDuration, toTimestamp } from "@bilancia/proto/time";
import type { Receipt } from "../domain/upload.js";
import type { UploadProgress } from "../ports/inbox.js";
import type { QueuePlace, UploadView } from "../ports/upload-directory.js";
import { toAttempt } from "../wire/attempt-message.js";
import { uploadStateCodes } from "../wire/upload-state.js";
import { toUploadRejected } from "../wire/wire-errors.js";

const priorityCodes = {
  high: Priority.PRIORITY_HIGH,
  normal: Priority.PRIORITY_NORMAL,
  low: Priority.PRIORITY_LOW,
} as const;

/** News of an upload as the event that a client gets. */
export function toUploadEvent(uploadId: string, requestNumber: bigint, progress: UploadProgress): UploadEvent {
  switch (progress.kind) {
    case "queued":
      return { uploadId, requestNumber, event: { $case: "queued", value: {} } };
    case "stored":
      return { uploadId, requestNumber, event: { $case: "stored", value: { receipt: toReceipt(progress.receipt) } } };
    case "rejected":
      return { uploadId, requestNumber, event: { $case: "rejected", value: toUploadRejected(progress.rejection) } };
  }
}

/** What is known of an upload, as `QueryUpload` answers it. */
export function toQueryResponse(view: UploadView, place: QueuePlace | undefined): QueryUploadResponse {
  const { description, requestNumber, state, persistedBytes, complete, attempts, receivedAtMs } = view;
  const sizeBytes = complete ? sizeOf(view) : description.sizeBytes;
  return {
    uploadId: description.uploadId,
    requestNumber,
    name: description.name,
    sizeBytes: sizeBytes === undefined ? undefined : BigInt(sizeBytes),
    state: uploadStateCodes[state.kind],
    persistedBytes: BigInt(persistedBytes),
    attempts: attempts.map(toAttempt),
    receipt: state.kind === "stored" ? toReceipt(state.receipt) : undefined,
    rejection: state.kind === "dead" ? toUploadRejected(state.rejection) : undefined,
    receivedAt: toTimestamp(receivedAtMs),
    place: place && {
      position: BigInt(place.position),
      bytesAhead: BigInt(place.bytesAhead),
      startsIn: place.startsInMs === undefined ? undefined : toDuration(place.startsInMs),
    },
    priority: priorityCodes[description.priority ?? "normal"],
  };
}

function sizeOf({ state, persistedBytes }: UploadView): number {
  return state.kind === "stored" ? state.receipt.sizeBytes : persistedBytes;
}

function toReceipt(receipt: Receipt): ReceiptMessage {
  const { requestNumber, uploadId, name, server, storedName, sizeBytes, sha256, attempts, storedAtMs, textStats } =
    receipt;
  return {
    requestNumber,
    uploadId,
    name,
    server,
    storedName,
    sizeBytes: BigInt(sizeBytes),
    sha256: sha256 as ReceiptMessage["sha256"],
    attempts,
    storedAt: toTimestamp(storedAtMs),
    textStats: textStats && { lettersA: BigInt(textStats.lettersA), characters: BigInt(textStats.characters) },
  };
}
