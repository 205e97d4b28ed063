import type { LedgerIdentity } from "../ports/ledger-identity.js";
import type { ServerKeeper, ServerView } from "../ports/server-keeper.js";
import type { UploadDirectory } from "../ports/upload-directory.js";
import type { Counters } from "./counters.js";

/** Where metrics and page have their figures from, each time they are asked for. */
export interface FigureSources {
  readonly counters: Counters;
  readonly uploads: Pick<UploadDirectory, "counts">;
  readonly servers: Pick<ServerKeeper, "servers">;
  readonly ledger: LedgerIdentity;
  /** Open `UploadFile` streams, now. */
  readonly uploadStreams: () => number;
  /** What the queue takes at most, as the settings are now. */
  readonly limits: { readonly maxQueuedFiles: number; readonly maxQueuedBytes: number };
  readonly version: string;
  readonly startedAtMs: number;
}

/** What the page shows, as JSON: see `page/page.js`. Counts are since the start, times Unix times in milliseconds. */
export function pageFigures(sources: FigureSources, nowMs: number): object {
  const { counters, uploads, servers, ledger, uploadStreams, limits, version, startedAtMs } = sources;
  // The request number is the only one that could be beyond what JSON's readers hold; the page does not show it.
  const { lastRequestNumber: _, ...counts } = uploads.counts();
  return {
    ...{ version, origin: ledger.origin, term: ledger.term, startedAtMs, nowMs },
    ...counts,
    uploadStreams: uploadStreams(),
    maxQueuedFiles: limits.maxQueuedFiles,
    maxQueuedBytes: limits.maxQueuedBytes,
    rejected: Object.fromEntries(counters.rejected),
    failedAttempts: Object.fromEntries(counters.failedAttempts),
    quarantined: counters.quarantined,
    faults: counters.faults,
    servers: servers.servers().map(serverFigures),
  };
}

function serverFigures({ backend, state, ...view }: ServerView): object {
  const { name, address, weight, inFlightFiles, inFlightBytes } = backend;
  const { effectiveWeight, storedFiles, storedBytes, failedAttempts, unsettledFiles } = view;
  return {
    ...{ name, address, weight, effectiveWeight, state: state.kind, reason: state.reason, sinceMs: state.sinceMs },
    ...{ inFlightFiles, inFlightBytes, storedFiles, storedBytes, failedAttempts, unsettledFiles },
  };
}
