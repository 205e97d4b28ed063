import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { type RejectReason, rejectReasons } from "../domain/errors.js";
import type { ServerState } from "../domain/server-state.js";
import type { ServerView } from "../ports/server-keeper.js";
import { timeBoundsSeconds } from "./counters.js";
import type { FigureSources } from "./figures.js";

/** A figure's values now, one for each of its labels; those without one have the label "". */
type Values = Iterable<readonly [label: string, value: number]>;

const states: readonly ServerState["kind"][] = [
  ...(["unknown", "unhealthy", "draining", "drained", "lease-expired"] as const),
  ...(["ejected", "overloaded", "busy", "full", "available"] as const),
];

/**
 * All that is measured, for Prometheus: read from the sources each time it is asked for. `docs/operations.md` lists it.
 *
 * Here prom-client comes in, 10 MiB of memory: this module is loaded when somebody asks for metrics, not before.
 */
export function metricsOf(sources: FigureSources): Registry {
  const { counters, uploads, servers, ledger, uploadStreams, limits, version } = sources;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });

  const add = (
    kind: typeof Gauge | typeof Counter,
    name: string,
    help: string,
    label: string,
    values: () => Values,
  ) => {
    const collect = function (this: Gauge | Counter) {
      this.reset();
      for (const [value, number] of values()) this.inc(label === "" ? {} : { [label]: value }, number);
    };
    const labelNames = label === "" ? [] : [label];
    new kind({ name: `bilancia_${name}`, help, labelNames, registers: [registry], collect });
  };
  const gauge = (name: string, help: string, value: () => number) => add(Gauge, name, help, "", () => [["", value()]]);
  const counter = (name: string, help: string, value: () => number) =>
    add(Counter, name, help, "", () => [["", value()]]);
  const ofServers = (value: (view: ServerView) => number) => (): Values =>
    servers.servers().map((view) => [view.backend.name, value(view)]);

  new Gauge({
    ...{ name: "bilancia_info", help: "1; what runs.", labelNames: ["version", "origin"], registers: [registry] },
    collect() {
      this.set({ version, origin: ledger.origin }, 1);
    },
  });
  gauge("term", "Grows with each start.", () => ledger.term);

  add(Gauge, "uploads", "Files that are not stored yet, by what they wait for.", "state", () => {
    const { receivingFiles, queuedFiles, dispatchingFiles } = uploads.counts();
    return Object.entries({ receiving: receivingFiles, queued: queuedFiles, dispatching: dispatchingFiles });
  });
  gauge("queued_bytes", "Bytes of these.", () => uploads.counts().queuedBytes);
  gauge("max_queued_files", "The setting limits.maxQueuedFiles.", () => limits.maxQueuedFiles);
  gauge("max_queued_bytes", "The setting limits.maxQueuedBytes.", () => limits.maxQueuedBytes);
  gauge("upload_streams", "Open streams of clients.", uploadStreams);
  gauge("last_request_number", "The last one given out.", () => Number(uploads.counts().lastRequestNumber));

  counter("stored_files_total", "Files stored.", () => uploads.counts().storedFiles);
  counter("stored_bytes_total", "Bytes of these.", () => uploads.counts().storedBytes);
  // A histogram, counted outside of the library and so told in its three parts.
  add(Counter, "stored_seconds_bucket", "Files stored within this time from their first byte.", "le", () => {
    let count = 0;
    return counters.storedWithin.map((files, at) => {
      count += files;
      return [String(timeBoundsSeconds[at] ?? "+Inf"), count];
    });
  });
  counter("stored_seconds_sum", "All these times together.", () => counters.storedSeconds);
  counter("stored_seconds_count", "Files that were timed.", () => counters.storedWithin.reduce((a, b) => a + b));
  add(Counter, "rejected_files_total", "Files not taken, or given up.", "reason", () =>
    (Object.keys(rejectReasons) as RejectReason[]).map((reason) => [reason, counters.rejected.get(reason) ?? 0]),
  );
  add(Counter, "failed_attempts_total", "Attempts that did not bring a file to its server.", "outcome", () =>
    (["busy", "refused", "lost"] as const).map((outcome) => [outcome, counters.failedAttempts.get(outcome) ?? 0]),
  );
  counter("ended_streams_total", "Streams of clients ended for an error.", () => counters.endedStreams);
  counter("discarded_copies_total", "Extra copies removed from servers.", () => counters.discardedCopies);
  counter("quarantined_total", "Damage found and put aside.", () => counters.quarantined);
  counter("faults_total", "Faults in the balancer itself.", () => counters.faults);

  new Gauge({
    ...{ name: "bilancia_server_state", help: "1 for the state that a server is in, 0 for the others." },
    ...{ labelNames: ["server", "state"], registers: [registry] },
    collect() {
      this.reset();
      for (const { backend, state } of servers.servers())
        for (const kind of states) this.set({ server: backend.name, state: kind }, kind === state.kind ? 1 : 0);
    },
  });
  const server = (
    kind: typeof Gauge | typeof Counter,
    name: string,
    help: string,
    value: (view: ServerView) => number,
  ) => add(kind, `server_${name}`, help, "server", ofServers(value));
  server(Gauge, "weight", "A server's weight as it counts now.", (view) => view.effectiveWeight);
  server(Gauge, "in_flight_files", "Files on their way to it.", ({ backend }) => backend.inFlightFiles);
  server(Gauge, "in_flight_bytes", "Bytes of these.", ({ backend }) => backend.inFlightBytes);
  server(
    Gauge,
    "unsettled_files",
    "Files of which it is not known whether it has them.",
    (view) => view.unsettledFiles,
  );
  server(Counter, "stored_files_total", "Files that it has stored.", (view) => view.storedFiles);
  server(Counter, "stored_bytes_total", "Bytes of these.", (view) => view.storedBytes);
  server(Counter, "failed_attempts_total", "Attempts that failed there.", (view) => view.failedAttempts);
  return registry;
}
