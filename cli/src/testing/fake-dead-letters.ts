import type { AdminServer, DeadLetter, ExportUploadRequest, ExportUploadResponse } from "@bilancia/proto/gen/admin";
import { RejectReason } from "@bilancia/proto/gen/balancer";
import { type ServerWritableStream, status } from "@grpc/grpc-js";
import { crc32c } from "@node-rs/crc32";

type Handlers = Pick<AdminServer, "listDeadLetters" | "retryUpload" | "discardUpload" | "exportUpload">;

/** Dead letters for tests: they go when they are retried or discarded, and `done` tells of it. */
export class FakeDeadLetters {
  readonly letters = new Map<bigint, { letter: DeadLetter; bytes: Buffer }>();
  readonly done: string[] = [];
  /** Most letters of one page. */
  pageSize = 2;
  /** Changes what is exported, as a fault on the way would. */
  spoil: (message: ExportUploadResponse) => ExportUploadResponse = (message) => message;

  add(requestNumber: bigint, name: string, bytes: Buffer, sha256?: Uint8Array): void {
    const letter: DeadLetter = {
      requestNumber,
      uploadId: "0b8f1d9e-7a52-4c1e-9d5c-3f1f3f6a2b10",
      name,
      sizeBytes: BigInt(bytes.length),
      sha256: sha256 && Uint8Array.from(sha256),
      client: "10.0.0.1:40000",
      receivedAt: { seconds: 1_700_000_000n, nanos: 0 },
      givenUpAt: { seconds: 1_700_000_100n, nanos: 0 },
      rejection: {
        reason: RejectReason.REJECT_REASON_ATTEMPTS_EXHAUSTED,
        message: "not delivered after 10 attempts",
        retryable: true,
        retryAfter: undefined,
      },
      attemptCount: 10,
      attempts: [{ number: 10, server: "storage-1", outcome: 3, message: "disk full", startedAt: undefined }],
    };
    this.letters.set(requestNumber, { letter, bytes });
  }

  reset(): void {
    this.letters.clear();
    this.done.length = 0;
    this.spoil = (message) => message;
  }

  readonly handlers: Handlers = {
    listDeadLetters: ({ request }, done) => {
      const all = [...this.letters.values()].map(({ letter }) => letter);
      if (request.requestNumber > 0n) {
        const found = all.filter(({ requestNumber }) => requestNumber === request.requestNumber);
        if (found.length === 0) done(unknownUpload(request.requestNumber), null);
        else done(null, { deadLetters: found, nextPageToken: "" });
        return;
      }
      const rest = all.filter(({ requestNumber }) => requestNumber > BigInt(request.pageToken || "0"));
      const deadLetters = rest.slice(0, Math.min(this.pageSize, request.pageSize));
      const last = deadLetters.at(-1)?.requestNumber ?? 0n;
      done(null, { deadLetters, nextPageToken: rest.length > deadLetters.length ? String(last) : "" });
    },
    retryUpload: ({ request: { requestNumber } }, done) => {
      if (this.#remove("retry", requestNumber)) done(null, {});
      else done(unknownUpload(requestNumber), null);
    },
    discardUpload: ({ request: { requestNumber } }, done) => {
      if (this.#remove("discard", requestNumber)) done(null, {});
      else done(unknownUpload(requestNumber), null);
    },
    exportUpload: (call) => this.#export(call),
  };

  #remove(what: string, requestNumber: bigint): boolean {
    if (!this.letters.delete(requestNumber)) return false;
    this.done.push(`${what} ${requestNumber}`);
    return true;
  }

  #export(call: ServerWritableStream<ExportUploadRequest, ExportUploadResponse>): void {
    const found = this.letters.get(call.request.requestNumber);
    if (!found) {
      call.emit("error", unknownUpload(call.request.requestNumber));
      return;
    }
    call.write(this.spoil({ part: { $case: "deadLetter", value: found.letter } }));
    for (let at = 0; at < found.bytes.length; at += 1000) {
      const data = Uint8Array.from(found.bytes.subarray(at, at + 1000));
      const chunk = { offset: BigInt(at), data, crc32c: crc32c(data) };
      call.write(this.spoil({ part: { $case: "chunk", value: chunk } }));
    }
    call.end();
  }
}

function unknownUpload(requestNumber: bigint) {
  return { code: status.NOT_FOUND, details: `UNKNOWN_UPLOAD: no upload has the number ${requestNumber}` };
}
