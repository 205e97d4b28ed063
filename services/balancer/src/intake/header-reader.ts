import { randomUUID } from "node:crypto";
import { fileNameProblem } from "@bilancia/proto/file-name";
import { Ack, Priority, type UploadHeader } from "@bilancia/proto/gen/balancer";
import { Kind } from "@bilancia/proto/gen/storage";
import { headerProblem, isUuid } from "@bilancia/proto/header-rules";
import { shortText } from "@bilancia/proto/status-text";
import type { Rejection } from "../domain/errors.js";
import type { UploadDescription } from "../domain/upload.js";

/** A header, checked and in the balancer's own words, or the reason against it. `uploadId` is there either way, to answer by. */
export type ReadHeader =
  | { readonly kind: "good"; readonly description: UploadDescription }
  | { readonly kind: "bad"; readonly uploadId: string; readonly rejection: Rejection };

/** Checks everything that can be said of a header by itself. An empty `upload_id` becomes a random one. */
export function readHeader(header: UploadHeader): ReadHeader {
  const { uploadId: givenId, name, sizeBytes, sha256, contentType, kind, ack, labels, priority } = header;
  const bad = (reason: Rejection["reason"], message: string): ReadHeader => ({
    kind: "bad",
    uploadId: givenId,
    rejection: { reason, message },
  });
  if (givenId !== "" && !isUuid(givenId)) {
    return bad(
      "INVALID_UPLOAD_ID",
      `the upload id ${JSON.stringify(shortText(givenId))} is not a UUID; expected for example ${randomUUID()}`,
    );
  }
  const nameProblem = fileNameProblem(name);
  if (nameProblem) return bad("INVALID_NAME", nameProblem);
  const problem = headerProblem(header);
  if (problem) return bad("INVALID_HEADER", problem);
  if (ack < 0 || ack > Ack.ACK_QUEUED)
    return bad("INVALID_HEADER", `ack is ${ack}; expected ACK_STORED (1) or ACK_QUEUED (2)`);
  if (priority < 0 || priority > Priority.PRIORITY_HIGH)
    return bad(
      "INVALID_HEADER",
      `priority is ${priority}; expected PRIORITY_LOW (1), PRIORITY_NORMAL (2) or PRIORITY_HIGH (3)`,
    );
  return {
    kind: "good",
    description: {
      uploadId: givenId === "" ? randomUUID() : givenId.toLowerCase(),
      name,
      sizeBytes: sizeBytes === undefined ? undefined : Number(sizeBytes),
      // A copy: the view would keep the whole message alive for as long as the upload is remembered.
      sha256: sha256 && new Uint8Array(sha256),
      contentType,
      kind: kind === Kind.KIND_TEXT_DOCUMENT ? "text_document" : "binary",
      ack: ack === Ack.ACK_QUEUED ? "queued" : "stored",
      labels,
      priority: unusualPriority(priority),
    },
  };
}

function unusualPriority(priority: Priority): UploadDescription["priority"] {
  if (priority === Priority.PRIORITY_HIGH) return "high";
  return priority === Priority.PRIORITY_LOW ? "low" : undefined;
}
