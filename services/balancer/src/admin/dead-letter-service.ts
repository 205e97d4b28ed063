import {
  DeadLetter as DeadLetterMessage,
  type DiscardUploadRequest,
  type DiscardUploadResponse,
  type ExportUploadRequest,
  type ExportUploadResponse,
  type ListDeadLettersRequest,
  type ListDeadLettersResponse,
  type RetryUploadRequest,
  type RetryUploadResponse,
} from "@bilancia/proto/gen/admin";
import { toTimestamp } from "@bilancia/proto/time";
import type { handleServerStreamingCall, handleUnaryCall, ServerWritableStream } from "@grpc/grpc-js";
import { BilanciaError } from "../domain/errors.js";
import type { Content, ContentReader } from "../ports/content.js";
import type { DeadLetter, DeadLetters } from "../ports/dead-letters.js";
import type { Observer } from "../ports/observer.js";
import { toAttempt } from "../wire/attempt-message.js";
import { fittingPage, readPageSize, readPageToken } from "../wire/paging.js";
import { failureStatus, unaryCall } from "../wire/unary-call.js";
import { toUploadRejected } from "../wire/wire-errors.js";

type ExportCall = ServerWritableStream<ExportUploadRequest, ExportUploadResponse>;

/** The dead letters' part of the `Admin` service. */
export class DeadLetterService {
  readonly #letters: DeadLetters;
  readonly #observer: Observer;

  readonly handlers: {
    listDeadLetters: handleUnaryCall<ListDeadLettersRequest, ListDeadLettersResponse>;
    retryUpload: handleUnaryCall<RetryUploadRequest, RetryUploadResponse>;
    discardUpload: handleUnaryCall<DiscardUploadRequest, DiscardUploadResponse>;
    exportUpload: handleServerStreamingCall<ExportUploadRequest, ExportUploadResponse>;
  };

  constructor(letters: DeadLetters, observer: Observer) {
    this.#letters = letters;
    this.#observer = observer;
    this.handlers = {
      listDeadLetters: unaryCall(this.#observer, (request) => this.#list(request)),
      retryUpload: unaryCall(this.#observer, async (request) => {
        await this.#letters.retry(numberOf(request));
        return {};
      }),
      discardUpload: unaryCall(this.#observer, async (request) => {
        await this.#letters.discard(numberOf(request));
        return {};
      }),
      exportUpload: (call) => {
        this.#export(call).then(
          () => call.end(),
          // This is how grpc-js takes a stream's status.
          (error: unknown) => call.emit("error", failureStatus(this.#observer, call.getPath(), error)),
        );
      },
    };
  }

  async #list({ pageSize, pageToken, requestNumber }: ListDeadLettersRequest): Promise<ListDeadLettersResponse> {
    const limit = readPageSize(pageSize);
    if (requestNumber > 0n) {
      if (pageToken !== "")
        throw new BilanciaError("INVALID_HEADER", "expected a page_token or a request_number; came both");
      return { deadLetters: [toMessage(await this.#letters.find(requestNumber))], nextPageToken: "" };
    }
    const letters = await this.#letters.list(readPageToken(pageToken), limit);
    const deadLetters = fittingPage(
      letters.map(toMessage),
      (letter) => DeadLetterMessage.encode(letter).finish().length,
    );
    const isLast = deadLetters.length === letters.length && letters.length < limit;
    const last = isLast ? undefined : deadLetters.at(-1);
    return { deadLetters, nextPageToken: last ? String(last.requestNumber) : "" };
  }

  async #export(call: ExportCall): Promise<void> {
    const { letter, content } = await this.#letters.read(numberOf(call.request));
    try {
      await send(call, { part: { $case: "deadLetter", value: toMessage(letter) } });
      await sendContent(call, content);
    } finally {
      content.close();
    }
  }
}

async function sendContent(call: ExportCall, content: ContentReader): Promise<void> {
  while (!call.cancelled) {
    const next: Content = await content.next();
    if (next.kind === "end") return;
    if (next.kind === "broken") throw new BilanciaError("INTERNAL", `the bytes broke off: ${next.message}`);
    const { offset, data, crc32c } = next.chunk;
    await send(call, { part: { $case: "chunk", value: { offset: BigInt(offset), data: wireBytes(data), crc32c } } });
  }
}

/** Writes one message; resolves when there is room for the next, or nobody reads any more. */
function send(call: ExportCall, message: ExportUploadResponse): Promise<void> | undefined {
  if (call.cancelled || call.write(message)) return undefined;
  return new Promise((resolve) => {
    const go = () => {
      call.off("drain", go);
      call.off("cancelled", go);
      resolve();
    };
    call.on("drain", go);
    call.on("cancelled", go);
  });
}

function numberOf({ requestNumber }: { readonly requestNumber: bigint }): bigint {
  if (requestNumber > 0n) return requestNumber;
  throw new BilanciaError("INVALID_HEADER", `expected a request_number from 1; came ${requestNumber}`);
}

function toMessage(letter: DeadLetter): DeadLetterMessage {
  const { requestNumber, description, client, sizeBytes, sha256, receivedAtMs, givenUpAtMs, rejection } = letter;
  return {
    requestNumber,
    uploadId: description.uploadId,
    name: description.name,
    sizeBytes: BigInt(sizeBytes),
    sha256: sha256 && wireBytes(sha256),
    client,
    receivedAt: toTimestamp(receivedAtMs),
    givenUpAt: toTimestamp(givenUpAtMs),
    rejection: toUploadRejected(rejection),
    attemptCount: letter.attemptCount,
    attempts: letter.attempts.map(toAttempt),
  };
}

/** Bytes as the generated code types them. */
function wireBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}
