import type { LoadSummary } from "@bilancia/balancer/dist/domain/load-summary.js";
import { humanBytes, humanCount, humanDuration } from "./human.js";
import type { Json } from "./json.js";
import type { Screen } from "./screen.js";
import { type Column, renderTable } from "./table.js";

/** A load as it was, and as it would have been. */
export interface Compared {
  readonly recorded: LoadSummary;
  readonly simulated: LoadSummary;
}

/** Both, for people: a table of the servers, and one of the waits. */
export function comparisonTables(compared: Compared, screen: Screen): string {
  const waits = Object.entries(compared) as [string, LoadSummary][];
  return `${renderTable(shareColumns, pairs(compared), screen)}\n\n${renderTable(waitColumns, waits, screen)}`;
}

/** One of them for programs. */
export function summaryJson({ servers, waitMs, spanMs }: LoadSummary): Record<string, Json> {
  return { spanMs, waitMs: { ...waitMs }, servers: servers.map((share) => ({ ...share })) };
}

type Share = LoadSummary["servers"][number];
interface Pair {
  readonly server: string;
  readonly recorded: Share | undefined;
  readonly simulated: Share | undefined;
}

function pairs({ recorded, simulated }: Compared): Pair[] {
  return recorded.servers.map((share) => ({
    server: share.server,
    recorded: share,
    simulated: simulated.servers.find(({ server }) => server === share.server),
  }));
}

const shareColumns: readonly Column<Pair>[] = [
  { title: "server", text: ({ server }) => server, minWidth: 12 },
  ...column("files", (share) => `${humanCount(share.files)} (${percent(share.fileShare)})`),
  ...column("bytes", (share) => `${humanBytes(share.bytes)} (${percent(share.byteShare)})`),
  ...column("idle", (share) => `${humanDuration(share.idleMs)} (${percent(share.idleShare)})`),
];

function column(title: string, text: (share: Share) => string): Column<Pair>[] {
  return [
    { title, align: "right", text: ({ recorded }) => (recorded ? text(recorded) : "-") },
    { title: `→ ${title}`, align: "right", text: ({ simulated }) => (simulated ? text(simulated) : "-") },
  ];
}

const waitColumns: readonly Column<[string, LoadSummary]>[] = [
  { title: "until stored", text: ([name]) => name },
  { title: "p50", align: "right", text: ([, { waitMs }]) => humanDuration(waitMs.p50) },
  { title: "p99", align: "right", text: ([, { waitMs }]) => humanDuration(waitMs.p99) },
  { title: "longest", align: "right", text: ([, { waitMs }]) => humanDuration(waitMs.max) },
  { title: "all of it", align: "right", text: ([, { spanMs }]) => humanDuration(spanMs) },
];

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}
