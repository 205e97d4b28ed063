import { isDeepStrictEqual } from "node:util";
import { fileNameProblem } from "@bilancia/proto/file-name";
import { Ack, Priority, RejectReason, type UploadHeader, type UploadRejected } from "@bilancia/proto/gen/balancer";
import type { TextStats } from "@bilancia/proto/gen/storage";
import { headerProblem, isUuid } from "@bilancia/proto/header-rules";
import { toDuration } from "@bilancia/proto/time";
import { status } from "@grpc/grpc-js";
import type { BalancerFault } from "./balancer-faults.js";
import { documentContent } from "./document-content.js";

/** What the faulty balancer takes at most. */
export const faultyLimits = { maxFileBytes: 64 * 1024 * 1024, queueFiles: 400 };

/** The reasons that the fake knows: the status of a call that ends so, and whether trying again helps. */
const reasons = {
  INVALID_NAME: { code: status.INVALID_ARGUMENT, retryable: false },
  INVALID_UPLOAD_ID: { code: status.INVALID_ARGUMENT, retryable: false },
  INVALID_HEADER: { code: status.INVALID_ARGUMENT, retryable: false },
  UPLOAD_ID_CONFLICT: { code: status.ALREADY_EXISTS, retryable: false },
  CHECKSUM_MISMATCH: { code: status.DATA_LOSS, retryable: true },
  DIGEST_MISMATCH: { code: status.INVALID_ARGUMENT, retryable: false },
  SIZE_MISMATCH: { code: status.INVALID_ARGUMENT, retryable: false },
  TOO_LARGE: { code: status.INVALID_ARGUMENT, retryable: false },
  NOT_A_TEXT_DOCUMENT: { code: status.INVALID_ARGUMENT, retryable: false },
  QUEUE_FULL: { code: status.RESOURCE_EXHAUSTED, retryable: true },
  CANCELLED: { code: status.CANCELLED, retryable: false },
  SUPERSEDED: { code: status.ABORTED, retryable: true },
  INTERNAL: { code: status.INTERNAL, retryable: true },
  PROTOCOL_VIOLATION: { code: status.INVALID_ARGUMENT, retryable: false },
  UNKNOWN_UPLOAD: { code: status.NOT_FOUND, retryable: false },
  NOT_CANCELLABLE: { code: status.FAILED_PRECONDITION, retryable: false },
} as const;

/** A file that is not taken, or a call that ends. */
export class Rejected extends Error {
  constructor(
    readonly reason: keyof typeof reasons,
    message: string,
  ) {
    super(message);
  }
}

/** What a `FaultyBalancer` takes and what not, and how it says so. */
export class HeaderRules {
  readonly #fault: BalancerFault | undefined;

  constructor(fault: BalancerFault | undefined) {
    this.#fault = fault;
  }

  /** @throws Rejected */
  check(header: UploadHeader): void {
    const { uploadId, name, ack, labels, priority } = header;
    if (uploadId !== "" && !isUuid(uploadId) && !this.#has("takes any upload id"))
      throw new Rejected("INVALID_UPLOAD_ID", "the upload id is not a UUID");
    const nameProblem = fileNameProblem(name);
    const isSeparator = /[/\\]/.test(name) && this.#has("takes names with path separators");
    if (nameProblem && !isSeparator) throw new Rejected("INVALID_NAME", nameProblem);
    if (this.#has("takes ASCII names only") && Buffer.byteLength(name) > name.length)
      throw new Rejected("INVALID_NAME", "the name is not ASCII");
    const problem = headerProblem(header) ?? (ack > Ack.ACK_QUEUED ? "ack" : undefined);
    if (problem && !this.#has("takes any header")) throw new Rejected("INVALID_HEADER", problem);
    if (priority > Priority.PRIORITY_HIGH && !this.#has("takes any priority"))
      throw new Rejected("INVALID_HEADER", "priority");
    if (this.#has("takes no labels") && Object.keys(labels).length > 0)
      throw new Rejected("INVALID_HEADER", "there are labels");
  }

  /** @throws Rejected when a header is of another file than the first one with its id */
  checkSame(first: UploadHeader, again: UploadHeader): void {
    const isOther = (["name", "kind", "ack", "sizeBytes", "sha256"] as const).some((field) => {
      const [before, now] = [first[field], again[field]];
      return before !== undefined && now !== undefined && !isDeepStrictEqual(before, now);
    });
    if (isOther && !this.#has("takes another file under a known id"))
      throw new Rejected("UPLOAD_ID_CONFLICT", "the upload id belongs to another file");
  }

  /** @throws Rejected when a file is too large, or the queue is full */
  checkRoom(fileBytes: number, waitingCount: number): void {
    if (fileBytes > faultyLimits.maxFileBytes && !this.#has("takes files of any length"))
      throw new Rejected("TOO_LARGE", `expected at most ${faultyLimits.maxFileBytes} bytes`);
    if (waitingCount >= faultyLimits.queueFiles && !this.#has("takes any number of files"))
      throw new Rejected("QUEUE_FULL", "the queue is full");
  }

  /** What is found in a text document. @throws Rejected when it is none */
  count(chunks: readonly Uint8Array[]): TextStats {
    let content = documentContent(chunks);
    if (this.#has("takes any document")) content ??= "";
    if (content === undefined) throw new Rejected("NOT_A_TEXT_DOCUMENT", "no text document");
    const characters = this.#has("counts characters in UTF-16") ? content.length : [...content].length;
    return { lettersA: BigInt(content.match(/a/gi)?.length ?? 0), characters: BigInt(characters) };
  }

  /** A rejection as an event tells it. */
  rejection({ reason, message }: Rejected): UploadRejected {
    const isFull = reason === "QUEUE_FULL" && !this.#has("tells nobody when to try again");
    return {
      reason: RejectReason[`REJECT_REASON_${reason}`],
      message: this.#has("rejects without a word") ? "" : message,
      retryable: reasons[reason].retryable || this.#has("calls everything retryable"),
      retryAfter: isFull ? toDuration(10) : undefined,
    };
  }

  /** What a call ends with. */
  status({ reason, message }: Rejected): { code: status; details: string } {
    const details = this.#has("ends calls without a word") ? "" : `${reason}: ${message}`;
    return { code: reasons[reason].code, details };
  }

  #has(fault: BalancerFault): boolean {
    return this.#fault === fault;
  }
}
