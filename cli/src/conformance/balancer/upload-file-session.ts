import {
  Ack,
  type Receipt,
  RejectReason,
  rejectReasonToJSON,
  type UploadEvent,
  type UploadFileResponse,
  type UploadHeader,
  type UploadRejected,
} from "@bilancia/proto/gen/balancer";
import type { BalancerClient } from "@bilancia/proto/services";
import { Metadata } from "@grpc/grpc-js";
import { expectContent } from "../probe.js";
import { StreamSession } from "../stream-session.js";
import { expectEqual, expectThat, Violation } from "../violation.js";
import type { UploadSample } from "./upload-sample.js";

/** The last event of a file. */
export type LastEvent =
  | { readonly kind: "stored"; readonly requestNumber: bigint; readonly receipt: Receipt }
  | { readonly kind: "rejected"; readonly requestNumber: bigint; readonly rejection: UploadRejected };

/** What has been heard of a file so far. */
interface Heard {
  readonly name: string;
  readonly ack: Ack;
  requestNumber: bigint | undefined;
  resumeOffset: number | undefined;
  queued: boolean;
}

/**
 * One `UploadFile` stream, seen from the client. Files are known by their upload ids; one that was sent without has the id "". Notes, besides what no
 * server may do, events that contradict each other or their file's header.
 */
export class UploadFileSession extends StreamSession<UploadHeader, UploadFileResponse, string, LastEvent> {
  readonly #heard = new Map<string, Heard>();
  /** What the balancer calls the file that was sent without an id. */
  #chosenId: string | undefined;

  /**
   * @param timeoutMs how long to wait for an answer
   * @param deadline of the call; not given: none
   */
  constructor(client: BalancerClient, timeoutMs: number, deadline?: Date) {
    super(client.uploadFile(new Metadata(), deadline ? { deadline } : {}), timeoutMs);
  }

  /** Waits until the balancer has taken the file, or answered it for good. Where to go on, in bytes; `undefined` for the latter. @throws Violation */
  async opened({ uploadId }: UploadSample): Promise<number | undefined> {
    await this.until(
      () => this.#offsetOf(uploadId) !== undefined || this.answered(uploadId) !== undefined || this.end !== undefined,
      `neither accepted nor a last event came for ${this.nameOf(uploadId)}`,
    );
    return this.#offsetOf(uploadId);
  }

  /** Where to go on with the file, in bytes. @throws Violation when it is not accepted */
  async accepted(file: UploadSample): Promise<number> {
    const offset = await this.opened(file);
    if (offset !== undefined) return offset;
    const last = await this.final(file.uploadId);
    throw new Violation(`${this.nameOf(file.uploadId)} was answered with ${describe(last)}; expected accepted`);
  }

  /** @throws Violation when the file is not queued */
  async queued({ uploadId }: UploadSample): Promise<void> {
    const isQueued = () => this.#heard.get(uploadId)?.queued === true;
    await this.until(
      () => isQueued() || this.answered(uploadId) !== undefined || this.end !== undefined,
      `the event queued did not come for ${this.nameOf(uploadId)}`,
    );
    if (isQueued()) return;
    throw new Violation(
      `${this.nameOf(uploadId)} was answered with ${describe(await this.final(uploadId))}; expected queued`,
    );
  }

  /** The receipt, which must be true. @throws Violation when the file is not stored */
  async stored(file: UploadSample): Promise<Receipt> {
    const last = await this.final(file.uploadId);
    if (last.kind !== "stored")
      throw new Violation(`${this.nameOf(file.uploadId)} was answered with ${describe(last)}; expected stored`);
    const { receipt } = last;
    expectEqual(receipt.requestNumber, last.requestNumber, "the request number in the receipt");
    expectReceipt(receipt, file, file.uploadId || this.#chosenId);
    return receipt;
  }

  /** @throws Violation when the file is not rejected, or not for one of the reasons */
  async rejected({ uploadId }: UploadSample, ...reasons: RejectReason[]): Promise<UploadRejected> {
    const last = await this.final(uploadId);
    if (last.kind === "rejected" && reasons.includes(last.rejection.reason)) return last.rejection;
    const expected = reasons.map(reasonName).join(" or ");
    throw new Violation(`${this.nameOf(uploadId)} was answered with ${describe(last)}; expected rejected ${expected}`);
  }

  protected override keyOf({ uploadId }: UploadHeader): string {
    return uploadId;
  }

  protected override nameOf(uploadId: string): string {
    const name = JSON.stringify(this.#heard.get(uploadId)?.name ?? "");
    return uploadId === "" ? `the upload of ${name} without an id` : `the upload ${uploadId} of ${name}`;
  }

  protected override begin(uploadId: string, header: UploadHeader): void {
    super.begin(uploadId, header);
    this.#heard.set(uploadId, {
      name: header.name,
      ack: header.ack,
      requestNumber: undefined,
      resumeOffset: undefined,
      queued: false,
    });
  }

  protected override receive({ events }: UploadFileResponse): void {
    for (const event of events) this.#take(event);
  }

  #take({ uploadId, requestNumber, event }: UploadEvent): void {
    if (!this.#heard.has(uploadId) && this.#heard.has("")) this.#chosenId ??= uploadId;
    const key = uploadId === this.#chosenId ? "" : uploadId;
    const what = this.nameOf(key);
    const file = this.#heard.get(key);
    if (!event || !file) {
      this.stray(event ? `an event came for ${what}, which was not sent here` : `an event of ${what} says nothing`);
      return;
    }
    if (requestNumber === 0n && event.$case !== "rejected")
      this.stray(`${event.$case} came for ${what} without a request number`);
    if (file.requestNumber !== undefined && file.requestNumber !== requestNumber)
      this.stray(`${what} had the request number ${file.requestNumber} and now has ${requestNumber}`);
    file.requestNumber = requestNumber;
    switch (event.$case) {
      case "accepted":
      case "queued":
        if (this.answered(key)) this.stray(`${event.$case} came for ${what} after its last event`);
        if (event.$case === "accepted") {
          if (file.queued) this.stray(`accepted came for ${what} after queued`);
          file.resumeOffset = Number(event.value.resumeOffset);
        } else {
          if (file.ack !== Ack.ACK_QUEUED) this.stray(`queued came for ${what}, whose client waits for stored`);
          file.queued = true;
        }
        break;
      case "stored":
        if (event.value.receipt) this.settle(key, { kind: "stored", requestNumber, receipt: event.value.receipt });
        else this.stray(`stored came for ${what} without a receipt`);
        break;
      case "rejected": {
        const problem = rejectionProblem(event.value);
        if (problem) this.stray(`the rejection of ${what} ${problem}`);
        this.settle(key, { kind: "rejected", requestNumber, rejection: event.value });
      }
    }
  }

  #offsetOf(uploadId: string): number | undefined {
    return this.#heard.get(uploadId)?.resumeOffset;
  }
}

/** What is wrong with how a rejection explains itself, or `undefined`. */
function rejectionProblem({ reason, message, retryable, retryAfter }: UploadRejected): string | undefined {
  if (reason === RejectReason.REJECT_REASON_UNSPECIFIED) return "has no reason";
  if (reason >= RejectReason.REJECT_REASON_PROTOCOL_VIOLATION)
    return `has the reason ${reasonName(reason)}, which is never an event`;
  if (message === "") return "has no message for people";
  if (retryAfter && !retryable) return "says when to try again, and that it is of no use";
  return undefined;
}

/** What a balancer says of a stored file must be true. @throws Violation */
function expectReceipt(receipt: Receipt, file: UploadSample, uploadId: string | undefined): void {
  const { requestNumber, storedName } = receipt;
  expectEqual(receipt.uploadId, uploadId, "upload_id");
  expectEqual(receipt.name, file.header.name, "name");
  expectContent(receipt, file);
  expectThat(requestNumber > 0n, "the receipt has no request number");
  expectThat(receipt.server !== "", "the receipt names no server");
  expectThat(
    storedName.startsWith(`${requestNumber}_`),
    `stored_name is ${storedName}; expected ${requestNumber}_<name>`,
  );
  expectThat(receipt.attempts > 0, "attempts is 0; expected at least 1");
  expectThat(receipt.storedAt !== undefined, "the receipt has no stored_at");
}

/** The name of a reason, as in docs/errors.md. */
export function reasonName(reason: RejectReason): string {
  return (RejectReason[reason] ?? rejectReasonToJSON(reason)).replace("REJECT_REASON_", "");
}

function describe(last: LastEvent): string {
  if (last.kind === "stored") return "stored";
  return `rejected ${reasonName(last.rejection.reason)} (${last.rejection.message})`;
}
