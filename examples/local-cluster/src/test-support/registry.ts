import {
  ClaimOutcome,
  type ClaimResult,
  claimOutcomeToJSON,
  PendingFilter,
  type PendingUpload,
  RegistryClient,
} from "@bilancia/proto/gen/registry";
import { callUnary } from "@bilancia/proto/unary";
import { credentials } from "@grpc/grpc-js";

const timeoutMs = 10_000;

/** A storage server's side of the registry, held by hand. Whoever makes it closes it. */
export class Registry {
  readonly client: RegistryClient;

  constructor(address: string) {
    this.client = new RegistryClient(address, credentials.createInsecure());
  }

  announce(fields: { server: string; address?: string; instanceId?: string; weight?: number }) {
    const request = { address: "", instanceId: "", version: "", capabilities: [], weight: 0, ...fields };
    return callUnary(this.client.announce.bind(this.client), request, timeoutMs);
  }

  renew(server: string, instanceId: string) {
    return callUnary(this.client.renew.bind(this.client), { server, instanceId }, timeoutMs);
  }

  page(fields: { server: string; failedHere?: boolean; pageSize?: number; pageToken?: string }) {
    const { server, failedHere = false, pageSize = 0, pageToken = "" } = fields;
    const filter = failedHere ? PendingFilter.PENDING_FILTER_FAILED_HERE : PendingFilter.PENDING_FILTER_UNSPECIFIED;
    const request = { server, filter, pageSize, pageToken };
    return callUnary(this.client.listPending.bind(this.client), request, timeoutMs);
  }

  /** Everything that is listed, in pages of so many. */
  async list(server: string, failedHere: boolean, pageSize: number): Promise<PendingUpload[]> {
    const listed: PendingUpload[] = [];
    let pageToken = "";
    do {
      const page = await this.page({ server, failedHere, pageSize, pageToken });
      listed.push(...page.uploads);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return listed;
  }

  async claim(server: string, requestNumbers: bigint[]): Promise<ClaimResult[]> {
    const request = { server, requestNumbers };
    return (await callUnary(this.client.claimPending.bind(this.client), request, timeoutMs)).results;
  }

  close(): void {
    this.client.close();
  }
}

/** The results as short texts: `CLAIMED storage-1`. */
export function claimWords(results: readonly ClaimResult[]): string[] {
  return results.map(({ outcome, server }) =>
    `${claimOutcomeToJSON(outcome).replace("CLAIM_OUTCOME_", "")} ${server}`.trim(),
  );
}

/** Whether every claim was granted. */
export function allClaimed(results: readonly ClaimResult[]): boolean {
  return results.every(({ outcome }) => outcome === ClaimOutcome.CLAIM_OUTCOME_CLAIMED);
}
