import { fileNameProblem } from "@bilancia/proto/file-name";
import { type Finish, Kind, RefuseReason, type SaveHeader } from "@bilancia/proto/gen/storage";
import { headerProblem, isUuid } from "@bilancia/proto/header-rules";
import { sha256Bytes } from "@bilancia/proto/limits";
import { type AttemptedFile, fileIdProblem } from "./file-id.js";
import { Refusal } from "./refusal.js";

/** How large files may be, in bytes. */
export interface SizeLimits {
  readonly maxFileBytes: number;
  readonly maxDocumentBytes: number;
}

/** A checked header. */
export interface FileHeader extends AttemptedFile, Expected {
  readonly name: string;
  readonly isTextDocument: boolean;
  /** The largest size that is taken. */
  readonly limitBytes: number;
}

/** What the sender says about the whole file; compared with what arrives. */
export interface Expected {
  readonly sizeBytes?: number | undefined;
  readonly sha256?: Uint8Array | undefined;
}

/** Checks what a header says of the attempt, which counts whatever else is wrong with it. @throws Refusal INVALID_HEADER */
export function readAttempt(header: SaveHeader): AttemptedFile {
  const problem =
    fileIdProblem(header) ??
    (isUuid(header.uploadId)
      ? undefined
      : `upload_id is ${JSON.stringify(header.uploadId.slice(0, 60))}; expected a UUID`) ??
    (header.attempt >= 1 ? undefined : `attempt is ${header.attempt}; expected a number from 1 on`);
  if (problem) throw new Refusal(RefuseReason.REFUSE_REASON_INVALID_HEADER, problem);
  const { origin, requestNumber, term, attempt } = header;
  return { id: { origin, requestNumber }, uploadId: header.uploadId.toLowerCase(), fence: { term, attempt } };
}

/** Checks the rest of it. @throws Refusal INVALID_HEADER, INVALID_NAME, TOO_LARGE */
export function readHeader(header: SaveHeader, attempted: AttemptedFile, limits: SizeLimits): FileHeader {
  const problem = headerProblem(header);
  if (problem) throw new Refusal(RefuseReason.REFUSE_REASON_INVALID_HEADER, problem);
  const nameProblem = fileNameProblem(header.name);
  if (nameProblem) throw new Refusal(RefuseReason.REFUSE_REASON_INVALID_NAME, nameProblem);
  const isTextDocument = header.kind === Kind.KIND_TEXT_DOCUMENT;
  const limitBytes = isTextDocument ? Math.min(limits.maxDocumentBytes, limits.maxFileBytes) : limits.maxFileBytes;
  const sizeBytes = header.sizeBytes === undefined ? undefined : Number(header.sizeBytes);
  if (sizeBytes !== undefined && sizeBytes > limitBytes) throw tooLarge(sizeBytes, limitBytes, isTextDocument);
  const { name, sha256 } = header;
  return { ...attempted, name, isTextDocument, limitBytes, sizeBytes, sha256 };
}

/** What header and finish together say of the file. @throws Refusal INVALID_HEADER when they contradict each other */
export function withFinish(header: Expected, finish: Finish): Expected {
  const invalid = (message: string) => new Refusal(RefuseReason.REFUSE_REASON_INVALID_HEADER, message);
  const { sha256 } = finish;
  if (sha256 !== undefined && sha256.length !== sha256Bytes)
    throw invalid(`sha256 in finish has ${sha256.length} bytes; expected ${sha256Bytes}`);
  if (finish.sizeBytes !== undefined && header.sizeBytes !== undefined && finish.sizeBytes !== BigInt(header.sizeBytes))
    throw invalid(
      `size_bytes is ${header.sizeBytes} in the header and ${finish.sizeBytes} in finish; expected the same`,
    );
  if (sha256 && header.sha256 && Buffer.compare(sha256, header.sha256) !== 0)
    throw invalid(`sha256 is ${hex(header.sha256)} in the header and ${hex(sha256)} in finish; expected the same`);
  return {
    sizeBytes: header.sizeBytes ?? (finish.sizeBytes === undefined ? undefined : Number(finish.sizeBytes)),
    sha256: header.sha256 ?? sha256,
  };
}

/** @throws Refusal SIZE_MISMATCH when a file has another length than was said */
export function throwIfSizeDiffers(sizeBytes: number, expected: Expected): void {
  if (expected.sizeBytes !== undefined && expected.sizeBytes !== sizeBytes)
    throw new Refusal(
      RefuseReason.REFUSE_REASON_SIZE_MISMATCH,
      `the file has ${sizeBytes} bytes; ${expected.sizeBytes} were announced`,
    );
}

/** @throws Refusal DIGEST_MISMATCH when a file has another digest than was said */
export function throwIfDigestDiffers(sha256: Uint8Array, expected: Expected): void {
  if (expected.sha256 && Buffer.compare(expected.sha256, sha256) !== 0)
    throw new Refusal(
      RefuseReason.REFUSE_REASON_DIGEST_MISMATCH,
      `the file's SHA-256 is ${hex(sha256)}; ${hex(expected.sha256)} was announced`,
    );
}

/** The refusal of a file that is larger than this server takes. */
export function tooLarge(sizeBytes: number, limitBytes: number, isTextDocument: boolean): Refusal {
  const what = isTextDocument ? "text document" : "file";
  return new Refusal(
    RefuseReason.REFUSE_REASON_TOO_LARGE,
    `the ${what} has ${sizeBytes} bytes or more; this server takes at most ${limitBytes}`,
  );
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
