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
  ...column("files", 1, (share) => `${humanCount(share.files)} (${percent(share.fileShare)})`),
  ...column("bytes", 3, (share) => `${humanBytes(share.bytes)} (${percent(share.byteShare)})`),
  ...column("idle", 5, (share) => `${humanDuration(share.idleMs)} (${percent(share.idleShare)})`),
];

/** A figure as it was and as it would have been. Where there is room for one of them only, it is the second. */
function column(title: string, dropOrder: number, text: (share: Share) => string): Column<Pair>[] {
  const common = { align: "right", dropOrder } as const;
  return [
    { ...common, title, dropOrder: dropOrder + 1, text: ({ recorded }) => (recorded ? text(recorded) : "-") },
    { ...common, title: `→ ${title}`, text: ({ simulated }) => (simulated ? text(simulated) : "-") },
  ];
}

const waitColumns: readonly Column<[string, LoadSummary]>[] = [
  { title: "until stored", text: ([name]) => name },
  { title: "p50", align: "right", text: ([, { waitMs }]) => humanDuration(waitMs.p50) },
  { title: "p99", align: "right", text: ([, { waitMs }]) => humanDuration(waitMs.p99) },
  { title: "longest", align: "right", text: ([, { waitMs }]) => humanDuration(waitMs.max), dropOrder: 1 },
  { title: "all of it", align: "right", text: ([, { spanMs }]) => humanDuration(spanMs), dropOrder: 2 },
];

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}
