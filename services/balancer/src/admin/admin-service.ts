import type { ConfigStatus, GetStatusRequest, GetStatusResponse } from "@bilancia/proto/gen/admin";
import { toTimestamp } from "@bilancia/proto/time";
import type { handleUnaryCall } from "@grpc/grpc-js";
import type { ConfigState } from "../ports/config-state.js";
import type { DeadLetters } from "../ports/dead-letters.js";
import type { LedgerIdentity } from "../ports/ledger-identity.js";
import type { Observer } from "../ports/observer.js";
import type { PickMemory } from "../ports/pick-log.js";
import type { ServerKeeper } from "../ports/server-keeper.js";
import type { UploadDirectory } from "../ports/upload-directory.js";
import { DeadLetterService } from "./dead-letter-service.js";
import { ExplainService } from "./explain-service.js";
import { ServerService } from "./server-service.js";

/** What the admin service reports on. */
export interface AdminServiceParts {
  readonly servers: ServerKeeper;
  readonly uploads: UploadDirectory;
  readonly deadLetters: DeadLetters;
  readonly picks: PickMemory;
  readonly observer: Observer;
  readonly ledger: LedgerIdentity;
  readonly queue: "memory" | "embedded";
  readonly version: string;
  readonly startedAtMs: number;
  readonly config: () => ConfigState;
  /** Open `UploadFile` streams, now. */
  readonly uploadStreams: () => number;
}

/** The rpcs of the `Admin` service. */
type AdminHandlers = DeadLetterService["handlers"] &
  ExplainService["handlers"] &
  ServerService["handlers"] & {
    getStatus: handleUnaryCall<GetStatusRequest, GetStatusResponse>;
  };

/** The `Admin` service: what it tells of the balancer; servers are a `ServerService`, dead letters a `DeadLetterService`, choices an `ExplainService`. */
export class AdminService {
  readonly #parts: AdminServiceParts;

  readonly handlers: AdminHandlers;

  constructor(parts: AdminServiceParts) {
    this.#parts = parts;
    this.handlers = {
      getStatus: (_call, callback) => callback(null, this.#status()),
      ...new ServerService(parts.servers, parts.observer).handlers,
      ...new ExplainService(parts.uploads, parts.picks, parts.observer).handlers,
      ...new DeadLetterService(parts.deadLetters, parts.observer).handlers,
    };
  }

  #status(): GetStatusResponse {
    const { servers, uploads, ledger, queue, version, startedAtMs, config, uploadStreams } = this.#parts;
    const counts = uploads.counts();
    const pool = servers.servers();
    return {
      version,
      startedAt: toTimestamp(startedAtMs),
      origin: ledger.origin,
      term: BigInt(ledger.term),
      queue,
      receivingFiles: BigInt(counts.receivingFiles),
      queuedFiles: BigInt(counts.queuedFiles),
      dispatchingFiles: BigInt(counts.dispatchingFiles),
      queuedBytes: BigInt(counts.queuedBytes),
      storedFiles: BigInt(counts.storedFiles),
      storedBytes: BigInt(counts.storedBytes),
      rejectedFiles: BigInt(counts.rejectedFiles),
      uploadStreams: uploadStreams(),
      lastRequestNumber: counts.lastRequestNumber,
      availableServers: pool.filter(({ state }) => state.kind === "available").length,
      servers: pool.length,
      memoryBytes: BigInt(process.memoryUsage.rss()),
      config: toConfigStatus(config()),
    };
  }
}

function toConfigStatus({ file = "", loadedAtMs, needRestart, refused }: ConfigState): ConfigStatus {
  return {
    file,
    loadedAt: toTimestamp(loadedAtMs),
    needRestart: [...needRestart],
    refusedAt: refused && toTimestamp(refused.atMs),
    problems: [...(refused?.problems ?? [])],
  };
}
