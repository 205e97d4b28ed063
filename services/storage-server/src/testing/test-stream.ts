import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  type Finish,
  Kind,
  RefuseReason,
  type SaveHeader,
  type SaveResponse,
  type SaveResult,
  type SaveSaved,
} from "@bilancia/proto/gen/storage";
import type { Part } from "@bilancia/proto/part-codec";
import type { SaveBatch, StorageClient } from "@bilancia/proto/services";
import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";

export const origin = "0123456789abcdef0123456789abcdef";
export const uploadId = "6f1e6a34-41b9-4c0a-9f6e-2d1b5a3c7e01";
export const otherUploadId = "6f1e6a34-41b9-4c0a-9f6e-2d1b5a3c7e02";
const finish: Finish = { sizeBytes: undefined, sha256: undefined };

/** A good header; what a test is about goes into `fields`. */
export function header(requestNumber: number, fields: Partial<SaveHeader> = {}): SaveHeader {
  return {
    ...{ origin, uploadId, requestNumber: BigInt(requestNumber), attempt: 1, term: 1n, name: "a.bin" },
    ...{ sizeBytes: undefined, sha256: undefined, contentType: "", kind: Kind.KIND_BINARY, labels: {} },
    ...fields,
  };
}

/** A file in one part. */
export function wholeFile(fileHeader: SaveHeader, data: string | Buffer, end: Finish = finish): Part<SaveHeader> {
  return { header: fileHeader, offset: 0, data: Buffer.from(data), finish: end };
}

/** A part without a header. */
export function part(offset: number, data: string | Buffer, isLast = false): Part<SaveHeader> {
  return { offset, data: Buffer.from(data), finish: isLast ? finish : undefined };
}

export function sha256(data: string | Buffer): Buffer {
  return createHash("sha256").update(data).digest();
}

/** The balancer's end of a `Save` stream. */
export class TestStream {
  readonly results: SaveResult[] = [];
  /** The overload bit of the last message. */
  overloaded = false;
  /** Resolves with how the stream ended. */
  readonly ended: Promise<{ code: status; details: string }>;
  readonly #call: ClientDuplexStream<SaveBatch, SaveResponse>;
  #closed = false;
  #onNews: (() => void)[] = [];

  constructor(client: StorageClient) {
    this.#call = client.save();
    const wake = () => {
      for (const resolve of this.#onNews.splice(0)) resolve();
    };
    this.#call.on("data", ({ results, overloaded }: SaveResponse) => {
      this.results.push(...results);
      this.overloaded = overloaded;
      wake();
    });
    this.ended = new Promise((resolve) => {
      const close = (code: status, details: string) => {
        this.#closed = true;
        resolve({ code, details });
        wake();
      };
      this.#call.on("error", (error: ServiceError) => close(error.code, error.details));
      this.#call.on("status", (end) => close(end.code, end.details));
    });
  }

  /** Sends one message. Resolves when the transport wants more. */
  async send(...parts: Part<SaveHeader>[]): Promise<void> {
    if (!this.#call.write({ parts })) await new Promise<void>((resolve) => this.#call.once("drain", resolve));
  }

  /** Sends bytes as they are. */
  sendRaw(raw: Buffer): void {
    this.#call.write({ parts: [], raw });
  }

  /** The final result of a file. */
  async final(requestNumber: number): Promise<NonNullable<SaveResult["outcome"]>> {
    return this.#find(requestNumber, ($case) => $case !== "accept");
  }

  async accepted(requestNumber: number): Promise<void> {
    await this.#find(requestNumber, ($case) => $case === "accept");
  }

  async saved(requestNumber: number): Promise<SaveSaved> {
    const outcome = await this.final(requestNumber);
    if (outcome.$case !== "saved") assert.fail(`expected saved, got ${describe(outcome)}`);
    return outcome.value;
  }

  /** The message of a refusal, whose reason must be the given one. */
  async refused(requestNumber: number, reason: keyof typeof RefuseReason): Promise<string> {
    const outcome = await this.final(requestNumber);
    if (outcome.$case !== "refused") assert.fail(`expected refused, got ${describe(outcome)}`);
    assert.equal(RefuseReason[outcome.value.reason], reason);
    return outcome.value.message;
  }

  /** Half-closes, and expects the server to end with OK. */
  async close(): Promise<void> {
    this.#call.end();
    assert.equal((await this.ended).code, status.OK);
  }

  cancel(): void {
    this.#call.cancel();
  }

  async #find(requestNumber: number, wanted: ($case: string) => boolean): Promise<NonNullable<SaveResult["outcome"]>> {
    for (;;) {
      for (const { requestNumber: number, outcome } of this.results)
        if (number === BigInt(requestNumber) && outcome && wanted(outcome.$case)) return outcome;
      if (this.#closed) assert.fail(`the stream ended before an answer: ${JSON.stringify(await this.ended)}`);
      await new Promise<void>((resolve) => this.#onNews.push(resolve));
    }
  }
}

function describe(outcome: NonNullable<SaveResult["outcome"]>): string {
  return `${outcome.$case} ${JSON.stringify(outcome.value, (_key, value) => (typeof value === "bigint" ? String(value) : value))}`;
}
