import {
  type DiscardRequest,
  type DiscardResponse,
  Holding,
  RefuseReason,
  type StatRequest,
  type StatResponse,
} from "@bilancia/proto/gen/storage";
import { isUuid } from "@bilancia/proto/header-rules";
import { toTimestamp } from "@bilancia/proto/time";
import { status } from "@grpc/grpc-js";
import { compareFences, describeFence } from "./fences.js";
import { type AttemptedFile, type FileId, fileIdProblem } from "./file-id.js";
import type { Claim, FileRegistry } from "./file-registry.js";
import type { FileStore, Known } from "./file-store.js";
import { Refusal } from "./refusal.js";

/** A call that ends with a status. The message is for people. */
export class CallError extends Error {
  readonly code: status;

  constructor(code: status, message: string) {
    super(message);
    this.code = code;
  }
}

/** The files a server holds, for `Stat` and `Discard`. Both throw `CallError` for what the caller did wrong. */
export class HeldFiles {
  readonly #store: FileStore;
  readonly #registry: FileRegistry;

  constructor(store: FileStore, registry: FileRegistry) {
    this.#store = store;
    this.#registry = registry;
  }

  async stat(request: StatRequest): Promise<StatResponse> {
    const id = checkedId(request);
    const phase = this.#registry.phaseOf(id);
    // While it is being committed its name may be there, but not flushed.
    if (phase === "receiving" || phase === "committing") return { holding: Holding.HOLDING_RECEIVING, file: undefined };
    const known = await this.#store.find(id);
    if (known.state !== "stored") {
      const holding = phase === undefined ? Holding.HOLDING_NONE : Holding.HOLDING_RECEIVING;
      return { holding, file: undefined };
    }
    const { uploadId, storedName, sizeBytes, sha256, storedBy, storedAtMs, stats } = known.record;
    return {
      holding: Holding.HOLDING_STORED,
      file: {
        ...{ uploadId, storedName, ...storedBy },
        sizeBytes: BigInt(sizeBytes),
        sha256: Buffer.from(sha256, "hex"),
        storedAt: toTimestamp(storedAtMs),
        textStats: stats && { lettersA: BigInt(stats.lettersA), characters: BigInt(stats.characters) },
      },
    };
  }

  async discard(request: DiscardRequest): Promise<DiscardResponse> {
    const id = checkedId(request);
    if (!isUuid(request.uploadId))
      throw new CallError(
        status.INVALID_ARGUMENT,
        `upload_id is ${JSON.stringify(request.uploadId.slice(0, 60))}; expected a UUID`,
      );
    const { term, attempt } = request;
    const file = { id, uploadId: request.uploadId.toLowerCase(), fence: { term, attempt } };
    const claim = await this.#claim(file);
    try {
      const known = await this.#store.find(id);
      const owner = uploadIdOf(known);
      if (owner !== undefined && owner !== file.uploadId)
        throw new CallError(
          status.FAILED_PRECONDITION,
          `request number ${id.requestNumber} belongs to upload ${owner}, not to ${file.uploadId}`,
        );
      if (known.fence && compareFences(known.fence, file.fence) > 0) {
        if (known.state === "discarded") return { discarded: false };
        throw new CallError(
          status.FAILED_PRECONDITION,
          `the file belongs to ${describeFence(known.fence)}, later than ${describeFence(file.fence)}`,
        );
      }
      const discarded = await this.#store.discard(file);
      this.#registry.recorded(file);
      return { discarded };
    } finally {
      claim.release();
    }
  }

  async #claim(file: AttemptedFile): Promise<Claim> {
    try {
      return await this.#registry.claim(file, () => {});
    } catch (error) {
      const isExpected = error instanceof Refusal && error.reason !== RefuseReason.REFUSE_REASON_INTERNAL;
      throw isExpected ? new CallError(status.FAILED_PRECONDITION, error.message) : error;
    }
  }
}

function checkedId({ origin, requestNumber }: FileId): FileId {
  const problem = fileIdProblem({ origin, requestNumber });
  if (problem) throw new CallError(status.INVALID_ARGUMENT, problem);
  return { origin, requestNumber };
}

function uploadIdOf(known: Known): string | undefined {
  if (known.state === "stored") return known.record.uploadId;
  return known.state === "discarded" ? known.uploadId : undefined;
}
