import type {
  CancelUploadRequest,
  CancelUploadResponse,
  QueryUploadRequest,
  QueryUploadResponse,
} from "@bilancia/proto/gen/balancer";
import { isUuid } from "@bilancia/proto/header-rules";
import type { handleUnaryCall } from "@grpc/grpc-js";
import { BilanciaError } from "../domain/errors.js";
import type { Inbox } from "../ports/inbox.js";
import type { Observer } from "../ports/observer.js";
import type { UploadDirectory, UploadKey } from "../ports/upload-directory.js";
import { unaryCall } from "../wire/unary-call.js";
import { ReadTurns } from "./read-turns.js";
import { toQueryResponse } from "./upload-messages.js";
import { type UploadCall, UploadSession } from "./upload-session.js";

/** Enough to keep a disk and a few servers busy; each may have two messages of 256 KiB in memory. */
const turnLimits = { maxCount: 32, maxBytes: 16 * 1024 * 1024, slowMs: 3_000, leastBytes: 256 * 1024 };

/** The `Balancer` service: the handlers, and the streams that are open. */
export class UploadService {
  readonly #inbox: Inbox;
  readonly #directory: UploadDirectory;
  readonly #observer: Observer;
  readonly #sessions = new Set<UploadSession>();
  readonly #turns: ReadTurns;
  #draining = false;

  readonly handlers: {
    uploadFile: (call: UploadCall) => void;
    queryUpload: handleUnaryCall<QueryUploadRequest, QueryUploadResponse>;
    cancelUpload: handleUnaryCall<CancelUploadRequest, CancelUploadResponse>;
  };

  constructor(inbox: Inbox, directory: UploadDirectory, observer: Observer) {
    this.#inbox = inbox;
    this.#directory = directory;
    this.#observer = observer;
    this.#turns = new ReadTurns(turnLimits, () => performance.now());
    this.handlers = {
      uploadFile: (call: UploadCall): void => {
        const session = new UploadSession(call, this.#inbox, this.#observer, this.#turns, (over) =>
          this.#sessions.delete(over),
        );
        this.#sessions.add(session);
        if (this.#draining) session.drain();
      },
      queryUpload: unaryCall(this.#observer, (request) => {
        const view = this.#directory.find(toKey(request));
        if (!view) throw new BilanciaError("UNKNOWN_UPLOAD", "no upload has this id or number");
        return toQueryResponse(view, this.#directory.place(view));
      }),
      cancelUpload: unaryCall(this.#observer, async (request) => {
        await this.#directory.cancel(toKey(request));
        return {};
      }),
    };
  }

  /** Open `UploadFile` streams. */
  get streams(): number {
    return this.#sessions.size;
  }

  /** Takes no new files, and ends each stream once nothing is under way on it. */
  drain(): void {
    this.#draining = true;
    for (const session of this.#sessions) session.drain();
  }
}

function toKey({ key }: QueryUploadRequest | CancelUploadRequest): UploadKey {
  if (key?.$case === "requestNumber" && key.value > 0n) return { requestNumber: key.value };
  if (key?.$case === "uploadId" && isUuid(key.value)) return { uploadId: key.value.toLowerCase() };
  const came = key ? `${key.$case} ${JSON.stringify(String(key.value).slice(0, 60))}` : "neither";
  throw new BilanciaError("INVALID_HEADER", `expected an upload_id (a UUID) or a request_number from 1; came ${came}`);
}
