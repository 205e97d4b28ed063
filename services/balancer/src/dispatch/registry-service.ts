import {
  type AnnounceRequest,
  type AnnounceResponse,
  ClaimOutcome,
  type ClaimPendingRequest,
  type ClaimPendingResponse,
  type ClaimResult,
  type ListPendingRequest,
  type ListPendingResponse,
  PendingFilter,
  PendingUpload as PendingMessage,
  type RenewRequest,
  type RenewResponse,
} from "@bilancia/proto/gen/registry";
import { toDuration, toTimestamp } from "@bilancia/proto/time";
import type { handleUnaryCall } from "@grpc/grpc-js";
import { isReachable } from "../domain/backend.js";
import type { ClaimVerdict } from "../domain/claim.js";
import { BilanciaError } from "../domain/errors.js";
import type { LedgerIdentity } from "../ports/ledger-identity.js";
import type { Observer } from "../ports/observer.js";
import type { PendingUpload, PendingUploads } from "../ports/pending-uploads.js";
import type { UploadDirectory } from "../ports/upload-directory.js";
import { toAttempt } from "../wire/attempt-message.js";
import { fittingPage, readPageSize, readPageToken } from "../wire/paging.js";
import { unaryCall } from "../wire/unary-call.js";
import { kindCode } from "./attempt.js";
import type { Leases } from "./leases.js";
import type { PooledServer } from "./pooled-server.js";
import type { ServerPool } from "./server-pool.js";

/** What the registry works with. */
export interface RegistryServiceParts {
  readonly pool: ServerPool;
  readonly leases: Leases;
  readonly pending: PendingUploads;
  readonly uploads: UploadDirectory;
  readonly ledger: LedgerIdentity;
  readonly observer: Observer;
}

/** Numbers in one `ClaimPending`. */
const maxNumbers = 1_000;
/** Length of what a server says of itself, for the log. */
const maxTextLength = 128;
/** Names that a refusal lists. */
const maxNamesTold = 20;

/** The `Registry` service: storage servers that have started, and what they claim. */
export class RegistryService {
  readonly #parts: RegistryServiceParts;

  readonly handlers: {
    announce: handleUnaryCall<AnnounceRequest, AnnounceResponse>;
    listPending: handleUnaryCall<ListPendingRequest, ListPendingResponse>;
    claimPending: handleUnaryCall<ClaimPendingRequest, ClaimPendingResponse>;
    renew: handleUnaryCall<RenewRequest, RenewResponse>;
  };

  constructor(parts: RegistryServiceParts) {
    this.#parts = parts;
    this.handlers = {
      announce: unaryCall(this.#parts.observer, (request, peer) => this.#announce(request, peer)),
      listPending: unaryCall(this.#parts.observer, (request) => this.#list(request)),
      claimPending: unaryCall(this.#parts.observer, (request) => this.#claim(request)),
      renew: unaryCall(this.#parts.observer, (request, peer) => this.#renew(request, peer)),
    };
  }

  async #announce(request: AnnounceRequest, peer: string): Promise<AnnounceResponse> {
    const { uploads, leases, ledger, observer } = this.#parts;
    const { instanceId, version } = request;
    for (const [field, { length }] of Object.entries({ instance_id: instanceId, version })) {
      if (length <= maxTextLength) continue;
      const expected = `expected ${field} to have at most ${maxTextLength} characters`;
      throw new BilanciaError("INVALID_HEADER", `${expected}; came ${length}`);
    }
    if (!this.#isConfigured(request.server)) await this.#join(request, peer);
    const server = this.#server(request.server);
    const { name, address, weight } = server.backend;
    // It has its lease, and its place once the one before it, at another address, has left.
    const leaves = server.retiring !== undefined;
    if (!leaves) await this.#meet(server, request);
    const serving = !leaves && isReachable(server.backend);
    const reason = leaves
      ? `${name} at ${address} leaves first, when nothing is on its way to it any more`
      : server.backend.health.reason;
    observer.note({ kind: "server-announced", server: name, instanceId, version, peer, serving });
    return {
      serving,
      reason,
      weight,
      waitingFiles: BigInt(uploads.counts().queuedFiles),
      origin: ledger.origin,
      term: BigInt(ledger.term),
      leaseDuration: durationOf(leases.durationMs(name)),
    };
  }

  /**
   * Looks for a server that says that it has started.
   *
   * @throws BilanciaError `SERVER_MISMATCH`
   */
  async #meet(server: PooledServer, request: AnnounceRequest): Promise<void> {
    const { name, address } = server.backend;
    const { instanceId } = request;
    if (request.address !== "" && request.address !== address) {
      const came = short(request.address);
      const message = `expected ${name} at ${short(address)}, as the balancer is configured; came ${came}`;
      throw new BilanciaError("SERVER_MISMATCH", message);
    }
    await server.announced();
    const found = server.load?.instanceId ?? "";
    if (!isReachable(server.backend) || instanceId === "" || found === "" || found === instanceId) return;
    const who = server.load?.serverName ? `, which calls itself ${short(server.load.serverName)}` : "";
    const message = `expected ${name} to answer at ${short(address)} as instance ${short(instanceId)}; came instance ${short(found)}${who}`;
    throw new BilanciaError("SERVER_MISMATCH", message);
  }

  /** A server that is not configured joins, or joins again. */
  async #join({ server: name, address, weight, instanceId }: AnnounceRequest, peer: string): Promise<void> {
    const { leases } = this.#parts;
    if (!leases.areGranted) throw this.#unknown(name);
    await leases.join({ name, address, weight: weight || 1 }, instanceId, peer);
  }

  #renew({ server, instanceId }: RenewRequest, peer: string): RenewResponse {
    const { leases } = this.#parts;
    if (this.#isConfigured(server)) return { leaseDuration: undefined };
    leases.renew(server, instanceId, peer);
    return { leaseDuration: durationOf(leases.durationMs(server)) };
  }

  /** Whether a server is there without a lease, and is to stay. */
  #isConfigured(name: string): boolean {
    const { pool, leases } = this.#parts;
    const server = pool.get(name);
    return server !== undefined && server.retiring === undefined && leases.durationMs(name) === undefined;
  }

  #list({ server, filter, pageSize, pageToken }: ListPendingRequest): ListPendingResponse {
    const { name } = this.#server(server).backend;
    const failedHere = readFilter(filter);
    const after = readPageToken(pageToken);
    const page = this.#parts.pending.list({ server: name, failedHere, after, limit: readPageSize(pageSize) });
    const uploads = fittingPage(page.uploads.map(toMessage), (upload) => PendingMessage.encode(upload).finish().length);
    const next = uploads.length < page.uploads.length ? uploads.at(-1)?.requestNumber : page.next;
    return { uploads, nextPageToken: next === undefined ? "" : String(next) };
  }

  #claim({ server, requestNumbers }: ClaimPendingRequest): ClaimPendingResponse {
    const { pool, pending, observer } = this.#parts;
    const { name, health, lapsed } = this.#server(server).backend;
    const { length } = requestNumbers;
    if (length === 0 || length > maxNumbers) {
      throw new BilanciaError("INVALID_HEADER", `expected 1 to ${maxNumbers} request_numbers; came ${length}`);
    }
    if (requestNumbers.includes(0n)) {
      throw new BilanciaError("INVALID_HEADER", "expected request_numbers from 1; came 0");
    }
    if (!isAnswering(pool, name)) {
      const message = `${name} cannot be talked to (${(lapsed ?? health).reason}); it should announce itself first`;
      throw new BilanciaError("SERVER_UNREACHABLE", message);
    }
    const results = requestNumbers.map((requestNumber) =>
      toResult(
        requestNumber,
        pending.claim(name, requestNumber, (other) => isAnswering(pool, other)),
      ),
    );
    const claimed = results.filter(({ outcome }) => outcome === ClaimOutcome.CLAIM_OUTCOME_CLAIMED).length;
    observer.note({ kind: "server-claimed", server: name, asked: length, claimed });
    return { results, claimDuration: toDuration(pending.claimMs) };
  }

  /** @throws BilanciaError `UNKNOWN_SERVER` */
  #server(name: string): PooledServer {
    const server = this.#parts.pool.get(name);
    if (server) return server;
    throw this.#unknown(name);
  }

  #unknown(name: string): BilanciaError {
    const { names } = this.#parts.pool;
    const more = names.length > maxNamesTold ? `, or ${names.length - maxNamesTold} others` : "";
    const some = names.length > 0 ? `${names.slice(0, maxNamesTold).join(", ")}${more}` : "none";
    const others = this.#parts.leases.areGranted
      ? ""
      : "; this balancer accepts no others (registration.unknownServers is refuse)";
    const came = name === "" ? "none" : short(name);
    return new BilanciaError(
      "UNKNOWN_SERVER",
      `expected the name of a configured server, one of ${some}${others}; came ${came}`,
    );
  }
}

function isAnswering(pool: ServerPool, name: string): boolean {
  const server = pool.get(name);
  return server !== undefined && isReachable(server.backend) && !server.backend.lapsed;
}

function durationOf(durationMs: number | undefined) {
  return durationMs === undefined ? undefined : toDuration(durationMs);
}

function readFilter(filter: PendingFilter): boolean {
  if (filter === PendingFilter.PENDING_FILTER_UNSPECIFIED) return false;
  if (filter === PendingFilter.PENDING_FILTER_FAILED_HERE) return true;
  throw new BilanciaError("INVALID_HEADER", `expected a filter of the contract, 0 or 1; came ${filter}`);
}

const outcomes: Record<ClaimVerdict["kind"], ClaimOutcome> = {
  claimed: ClaimOutcome.CLAIM_OUTCOME_CLAIMED,
  unknown: ClaimOutcome.CLAIM_OUTCOME_UNKNOWN,
  receiving: ClaimOutcome.CLAIM_OUTCOME_RECEIVING,
  dispatching: ClaimOutcome.CLAIM_OUTCOME_DISPATCHING,
  stored: ClaimOutcome.CLAIM_OUTCOME_STORED,
  dead: ClaimOutcome.CLAIM_OUTCOME_DEAD,
  "claimed-elsewhere": ClaimOutcome.CLAIM_OUTCOME_CLAIMED_ELSEWHERE,
  unsettled: ClaimOutcome.CLAIM_OUTCOME_UNSETTLED,
  "too-many": ClaimOutcome.CLAIM_OUTCOME_TOO_MANY,
};

function toResult(requestNumber: bigint, verdict: ClaimVerdict): ClaimResult {
  return { requestNumber, outcome: outcomes[verdict.kind], server: "server" in verdict ? verdict.server : "" };
}

function toMessage(upload: PendingUpload): PendingMessage {
  const { requestNumber, description, sizeBytes, receivedAtMs, attemptCount, failedHere, claimedBy } = upload;
  return {
    requestNumber,
    name: description.name,
    sizeBytes: BigInt(sizeBytes),
    kind: kindCode(description.kind),
    receivedAt: toTimestamp(receivedAtMs),
    attemptCount,
    failedHere: failedHere && toAttempt(failedHere),
    claimedBy: claimedBy ?? "",
  };
}

/** What came, for a message: quoted, and not endless. */
function short(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
