import { setTimeout as delay } from "node:timers/promises";
import { channelOptions } from "@bilancia/proto/channel-options";
import {
  type AnnounceResponse,
  type ClaimPendingResponse,
  claimOutcomeToJSON,
  type ListPendingResponse,
  PendingFilter,
  RegistryClient,
} from "@bilancia/proto/gen/registry";
import type { LoadResponse } from "@bilancia/proto/gen/storage";
import { callUnary } from "@bilancia/proto/unary";
import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import type { Logger } from "pino";

/** Who announces itself, and where. */
export interface AnnouncerOptions {
  /** The balancer's `host:port`. */
  readonly balancer: string;
  /** The server's name and address in that balancer's configuration; the address is empty where it is not known. */
  readonly server: string;
  readonly address: string;
  /** What is claimed once the balancer has found the server. */
  readonly claim: "none" | "failed";
  readonly load: () => LoadResponse;
  readonly log: Logger;
}

/** How long the balancer may take: it looks at the server for two seconds before it answers. */
const callTimeoutMs = 10_000;
const claimPageSize = 1_000;
const firstDelayMs = 500;
const maxDelayMs = 30_000;

/**
 * Tells one balancer that this server has started, as often as it takes, and claims what failed here before. Nothing depends on it: a balancer that
 * never hears of it finds the server at its next probe. Whoever makes it calls `start` and `stop`.
 */
export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #client: RegistryClient;
  readonly #log: Logger;
  readonly #stopping = new AbortController();

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#log = options.log.child({ balancer: options.balancer });
    this.#client = new RegistryClient(options.balancer, credentials.createInsecure(), channelOptions);
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
    const { signal } = this.#stopping;
    let lastProblem: string | undefined;
    for (let failures = 1; !signal.aborted; failures++) {
      const problem = await this.#problem();
      if (problem === undefined || signal.aborted) return;
      const retryInMs = announceDelayMs(failures, Math.random());
      // A balancer that is away for a day is worth one line, not thousands.
      this.#log[problem === lastProblem ? "debug" : "warn"]({ reason: problem, retryInMs }, "not announced yet");
      lastProblem = problem;
      // The only way to fail is to be stopped.
      await delay(retryInMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** One try. Returns what went wrong. */
  async #problem(): Promise<string | undefined> {
    try {
      const { serving, reason, weight, waitingFiles, term } = await this.#announce();
      if (!serving) return `the balancer does not reach this server: ${reason}`;
      this.#log.info({ weight, waitingFiles: Number(waitingFiles), term: Number(term) }, "announced");
      if (this.#options.claim === "failed") await this.#claimFailed();
      return undefined;
    } catch (error) {
      const { code, details } = error as ServiceError;
      if (code === undefined) throw error;
      return `${status[code]}: ${details}`;
    }
  }

  #announce(): Promise<AnnounceResponse> {
    const { server, address, load } = this.#options;
    const { instanceId, version, capabilities } = load();
    const request = { server, address, instanceId, version, capabilities };
    return callUnary(this.#client.announce.bind(this.#client), request, callTimeoutMs);
  }

  async #claimFailed(): Promise<void> {
    let failed = 0;
    const counts: Record<string, number> = {};
    for (let pageToken: string | undefined = ""; pageToken !== undefined; ) {
      const page: ListPendingResponse = await this.#listFailed(pageToken);
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
