import { setTimeout as delay } from "node:timers/promises";
import { channelOptions } from "@bilancia/proto/channel-options";
import { connectionWords } from "@bilancia/proto/connection-words";
import {
  type AnnounceResponse,
  type ClaimPendingResponse,
  claimOutcomeToJSON,
  type ListPendingResponse,
  PendingFilter,
  RegistryClient,
  type RenewRequest,
  type RenewResponse,
} from "@bilancia/proto/gen/registry";
import type { LoadResponse } from "@bilancia/proto/gen/storage";
import { fromDuration } from "@bilancia/proto/time";
import { callUnary } from "@bilancia/proto/unary";
import { type ChannelCredentials, type ServiceError, status } from "@grpc/grpc-js";
import type { Logger } from "pino";

/** Who announces itself, and where. */
export interface AnnouncerOptions {
  /** The balancer's `host:port`. */
  readonly balancer: string;
  /** How to connect to it. */
  readonly credentials: ChannelCredentials;
  /** The server's name and address in that balancer's configuration; the address is empty where it is not known. */
  readonly server: string;
  readonly address: string;
  /** Its weight where the balancer's configuration does not have it. */
  readonly weight: number;
  /** What is claimed once the balancer has found the server. */
  readonly claim: "none" | "failed";
  readonly load: () => LoadResponse;
  readonly log: Logger;
}

/** How long the balancer may take: it looks at the server for two seconds before it answers. */
const callTimeoutMs = 10_000;
/** A renewal that hangs must not use up the time for the next one; but a busy balancer may take a moment. */
const minRenewTimeoutMs = 1_000;
const claimPageSize = 1_000;
const firstDelayMs = 500;
const maxDelayMs = 30_000;

/**
 * Tells one balancer that this server has started, as often as it takes, and claims what failed here before. Where the balancer does not have the server in its
 * configuration, it gives it a lease, which is renewed from then on. For others nothing depends on it: a balancer that never hears of
 * it finds the server at its next probe. Whoever makes it calls `start` and `stop`.
 */
export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #client: RegistryClient;
  readonly #log: Logger;
  readonly #stopping = new AbortController();

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#log = options.log.child({ balancer: options.balancer });
    this.#client = new RegistryClient(options.balancer, options.credentials, channelOptions);
  }

  /** Begins to announce, beside whatever else the server does. */
  start(): void {
    this.#run()
      .catch((error: unknown) => this.#log.error({ err: error }, "announcing failed"))
      .finally(() => this.#client.close());
  }

  /** Announces no more. */
  stop(): void {
    this.#stopping.abort();
    this.#client.close();
  }

  async #run(): Promise<void> {
    for (;;) {
      const leaseMs = await this.#announceUntilFound();
      if (leaseMs === undefined) return;
      await this.#renewUntilLost(leaseMs);
    }
  }

  /** Announces the server until the balancer has found it. Returns how long its lease holds; `undefined` when it has none, or was stopped. */
  async #announceUntilFound(): Promise<number | undefined> {
    const { signal } = this.#stopping;
    let lastProblem: string | undefined;
    for (let failures = 1; !signal.aborted; failures++) {
      const found = await this.#problemOr(() => this.#find());
      if (signal.aborted) return undefined;
      if (typeof found !== "string") return found.leaseMs;
      const retryInMs = announceDelayMs(failures, Math.random());
      // A balancer that is away for a day is worth one line, not thousands.
      const problem = lasting(found);
      this.#log[problem === lastProblem ? "debug" : "warn"]({ reason: found, retryInMs }, "not announced yet");
      lastProblem = problem;
      await this.#pause(retryInMs);
    }
    return undefined;
  }

  /** Renews the lease until the balancer does not know it any more, because it was restarted or has removed the server. */
  async #renewUntilLost(firstLeaseMs: number): Promise<void> {
    const { signal } = this.#stopping;
    const { server, load } = this.#options;
    let lastProblem: string | undefined;
    for (let leaseMs = firstLeaseMs; !signal.aborted; ) {
      // Twice may a renewal fail, and the lease still holds.
      await this.#pause(leaseMs / 3);
      if (signal.aborted) return;
      const request = { server, instanceId: load().instanceId };
      const renewed = await this.#problemOr(() =>
        callUnary<RenewRequest, RenewResponse>(
          this.#client.renew.bind(this.#client),
          request,
          Math.max(minRenewTimeoutMs, leaseMs / 3),
        ),
      );
      if (typeof renewed === "string") {
        const problem = lasting(renewed);
        if (problem !== lastProblem) this.#log.warn({ reason: renewed }, "lease not renewed");
        lastProblem = problem;
        if (/^(NOT_FOUND|FAILED_PRECONDITION): /.test(renewed)) return;
        continue;
      }
      lastProblem = undefined;
      if (!renewed.leaseDuration) {
        this.#log.info("no lease needed any more: the balancer has this server in its configuration");
        this.stop();
        return;
      }
      leaseMs = fromDuration(renewed.leaseDuration);
    }
  }

  /** One announcement, and what follows it. Returns what went wrong. */
  async #find(): Promise<string | { readonly leaseMs: number | undefined }> {
    const { serving, reason, weight, waitingFiles, term, leaseDuration } = await this.#announce();
    if (!serving) return `the balancer does not reach this server: ${reason}`;
    const leaseMs = leaseDuration && fromDuration(leaseDuration);
    const lease = leaseMs === undefined ? {} : { leaseMs };
    this.#log.info({ weight, waitingFiles: Number(waitingFiles), term: Number(term), ...lease }, "announced");
    if (this.#options.claim === "failed") await this.#claimFailed();
    return { leaseMs };
  }

  /** What comes of calls, or which of them has failed. */
  async #problemOr<Result>(work: () => Promise<Result>): Promise<Result | string> {
    try {
      return await work();
    } catch (error) {
      const { code, details } = error as ServiceError;
      if (code === undefined) throw error;
      return `${status[code]}: ${connectionWords(details)}`;
    }
  }

  async #pause(pauseMs: number): Promise<void> {
    // The only way to fail is to be stopped.
    await delay(pauseMs, undefined, { signal: this.#stopping.signal, ref: false }).catch(() => undefined);
  }

  #announce(): Promise<AnnounceResponse> {
    const { server, address, weight, load } = this.#options;
    const { instanceId, version, capabilities } = load();
    const request = { server, address, instanceId, version, capabilities, weight };
    return callUnary(this.#client.announce.bind(this.#client), request, callTimeoutMs);
  }

  async #claimFailed(): Promise<void> {
    // With the stop its client is closed, and a call would fail. What is not claimed by then is claimed by the next start.
    const { signal } = this.#stopping;
    let failed = 0;
    const counts: Record<string, number> = {};
    for (let pageToken: string | undefined = ""; pageToken !== undefined; ) {
      if (signal.aborted) return;
      const page: ListPendingResponse = await this.#listFailed(pageToken);
      if (signal.aborted) return;
      const requestNumbers = page.uploads.map(({ requestNumber }) => requestNumber);
      const results = requestNumbers.length > 0 ? (await this.#claim(requestNumbers)).results : [];
      failed += requestNumbers.length;
      for (const { outcome } of results) {
        const word = claimOutcomeToJSON(outcome).replace("CLAIM_OUTCOME_", "").toLowerCase();
        counts[word] = (counts[word] ?? 0) + 1;
      }
      pageToken = page.nextPageToken || undefined;
    }
    this.#log.info({ failed, ...counts }, "claimed what failed here");
  }

  #listFailed(pageToken: string): Promise<ListPendingResponse> {
    const { server } = this.#options;
    const filter = PendingFilter.PENDING_FILTER_FAILED_HERE;
    const request = { server, filter, pageSize: claimPageSize, pageToken };
    return callUnary(this.#client.listPending.bind(this.#client), request, callTimeoutMs);
  }

  #claim(requestNumbers: bigint[]): Promise<ClaimPendingResponse> {
    const request = { server: this.#options.server, requestNumbers };
    return callUnary(this.#client.claimPending.bind(this.#client), request, callTimeoutMs);
  }
}

/** A reason without the time in it, which is another each time. */
function lasting(reason: string): string {
  return reason.replace(/\d+ ms\b/g, "some ms");
}

/**
 * How long to wait before the next try: a cap that doubles with each failure, at least half of it, so that many servers do not come back in step.
 *
 * @param failures how many tries in a row have failed, from 1
 * @param random a number in [0, 1)
 */
export function announceDelayMs(failures: number, random: number): number {
  const capMs = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(failures - 1, 10));
  return Math.round(capMs / 2 + (random * capMs) / 2);
}
