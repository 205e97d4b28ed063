import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import {
  type CancelUploadRequest,
  type CancelUploadResponse,
  type QueryUploadRequest,
  type QueryUploadResponse,
  Receipt,
  type RejectReason,
  type UploadHeader,
  UploadState,
  uploadStateToJSON,
} from "@bilancia/proto/gen/balancer";
import { BalancerClient } from "@bilancia/proto/services";
import { callUnary } from "@bilancia/proto/unary";
import { Client, type ClientOptions, status } from "@grpc/grpc-js";
import { Probe, type ProbeOptions, statusOf } from "../probe.js";
import { expectEqual, Violation } from "../violation.js";
import { UploadFileSession } from "./upload-file-session.js";
import { UploadSample } from "./upload-sample.js";

/** A file up to this is sent as one part, in bytes, where nothing else is said. */
const wholeBytes = 65_536;
/** How many uploads are dropped at once at the end. */
const cleaningCount = 32;

/** One of the names of an upload. */
export type UploadKey = NonNullable<QueryUploadRequest["key"]>;

/**
 * What one check of a balancer works with: files of its own, and the calls of the contract. Closing it drops what was sent and is not stored; what is
 * stored stays.
 */
export class BalancerProbe extends Probe {
  readonly balancer: BalancerClient;
  readonly #unsettled = new Set<string>();

  constructor(options: ProbeOptions) {
    super(options);
    this.balancer = this.connect(options.address);
  }

  /** @param options what differs from those of every channel */
  connect(address = this.options.address, options: Partial<ClientOptions> = {}): BalancerClient {
    return this.client(BalancerClient, address, options);
  }

  /** A client of no service in particular. */
  connectPlain(): Client {
    return this.client(Client);
  }

  /** A new upload. Its bytes are drawn from the seed where a length is given. */
  file(content: number | Buffer, fields: Partial<UploadHeader> = {}): UploadSample {
    const file = new UploadSample(this.contentOf(content), fields);
    this.#unsettled.add(file.uploadId);
    return file;
  }

  /** Opens an `UploadFile` stream; it is broken off with the probe where it has not ended by then. @param deadline of the call */
  open(client = this.balancer, deadline?: Date): UploadFileSession {
    return this.keep(new UploadFileSession(client, this.timeoutMs, deadline));
  }

  /** Sends a file on a stream of its own, which must be stored. @param partBytes data of a part; not given: one part for a small file @throws Violation */
  async store(file: UploadSample, partBytes?: number): Promise<Receipt> {
    const session = this.open();
    await this.#send(session, file, partBytes);
    const receipt = await session.stored(file);
    await session.close();
    this.#unsettled.delete(file.uploadId);
    return receipt;
  }

  override async storeSample(sizeBytes: number, partBytes?: number): Promise<void> {
    await this.store(this.file(sizeBytes), partBytes);
  }

  /** Goes on with an upload where the balancer says, to its end: it must be stored. Where it went on, in bytes; its length where it was complete. @throws Violation */
  async resume(file: UploadSample): Promise<number> {
    const session = this.open();
    const [header] = file.parts();
    if (header) await session.send(header);
    const offset = await session.opened(file);
    if (offset !== undefined) await session.sendParts(file.parts(undefined, offset).slice(1), file.uploadId);
    await session.stored(file);
    await session.close();
    return offset ?? file.data.length;
  }

  /** Sends a file that must be rejected for the given reasons. @throws Violation */
  async expectRejection(file: UploadSample, ...reasons: RejectReason[]): Promise<void> {
    const session = this.open();
    await this.#send(session, file);
    await session.rejected(file, ...reasons);
    await session.close();
  }

  query(key: UploadKey | undefined): Promise<QueryUploadResponse> {
    const { balancer } = this;
    return callUnary<QueryUploadRequest, QueryUploadResponse>(
      balancer.queryUpload.bind(balancer),
      { key },
      this.timeoutMs,
    );
  }

  /** What `QueryUpload` says of an upload that was sent. @throws Violation when it is not known */
  queryFile({ uploadId }: UploadSample): Promise<QueryUploadResponse> {
    return known("QueryUpload", this.query({ $case: "uploadId", value: uploadId }));
  }

  cancel(key: UploadKey | undefined): Promise<CancelUploadResponse> {
    const { balancer } = this;
    return callUnary<CancelUploadRequest, CancelUploadResponse>(
      balancer.cancelUpload.bind(balancer),
      { key },
      this.timeoutMs,
    );
  }

  /** @throws Violation when the upload is not known */
  cancelFile({ uploadId }: UploadSample): Promise<CancelUploadResponse> {
    return known("CancelUpload", this.cancel({ $case: "uploadId", value: uploadId }));
  }

  /** What `QueryUpload` says of the state of an upload. @throws Violation */
  async expectState(file: UploadSample, expected: UploadState): Promise<QueryUploadResponse> {
    const answer = await this.queryFile(file);
    expectEqual(uploadStateToJSON(answer.state), UploadState[expected], "the state that QueryUpload tells");
    return answer;
  }

  /** Waits until an upload is stored, though nobody sends it any more. @throws Violation */
  async storedInTheEnd(file: UploadSample): Promise<Receipt> {
    for (const untilMs = Date.now() + this.options.patienceMs; ; ) {
      const { state, receipt } = await this.queryFile(file);
      if (state === UploadState.UPLOAD_STATE_STORED && receipt) {
        expectEqual(Buffer.from(receipt.sha256).toString("hex"), file.sha256, "sha256");
        return receipt;
      }
      if (Date.now() > untilMs)
        throw new Violation(
          `the upload is ${uploadStateToJSON(state)} after ${this.options.patienceMs / 1000} s; expected UPLOAD_STATE_STORED`,
        );
      await delay(50);
    }
  }

  override async roundTrip(): Promise<void> {
    await this.query({ $case: "uploadId", value: randomUUID() }).catch((error: unknown) => {
      if (statusOf(error) !== status.NOT_FOUND) throw error;
    });
  }

  /** Drops what is not stored, and closes the connections. */
  override async close(): Promise<void> {
    this.breakOff();
    const ids = [...this.#unsettled];
    for (let at = 0; at < ids.length; at += cleaningCount)
      // What cannot be dropped is stored, or was rejected.
      await Promise.allSettled(
        ids.slice(at, at + cleaningCount).map((value) => this.cancel({ $case: "uploadId", value })),
      );
    await super.close();
  }

  async #send(session: UploadFileSession, file: UploadSample, partBytes?: number): Promise<void> {
    if (partBytes === undefined && file.data.length <= wholeBytes) await session.send(file.whole());
    else await session.sendParts(file.parts(partBytes), file.uploadId);
  }
}

/** The answer to a call about an upload that was sent. @throws Violation when the upload is not known */
export async function known<Answer>(rpc: string, call: Promise<Answer>): Promise<Answer> {
  try {
    return await call;
  } catch (error) {
    if (statusOf(error) === status.NOT_FOUND) throw new Violation(`${rpc} does not know an upload that was sent`);
    throw error;
  }
}

/** Two receipts must be the same, in every field. @throws Violation */
export function expectSameReceipt(came: Receipt | undefined, first: Receipt): void {
  expectEqual(came && words(came), words(first), "the receipt");
}

function words(receipt: Receipt): string {
  return JSON.stringify(Receipt.toJSON(receipt));
}
