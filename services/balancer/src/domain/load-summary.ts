import type { RecordedLoad } from "./recorded-load.js";

/** A file that was stored, or would have been. Times are in milliseconds. */
export interface PlacedFile {
  readonly server: string;
  readonly sizeBytes: number;
  readonly arrivedMs: number;
  readonly placedMs: number;
  readonly storedMs: number;
  readonly workMs: number;
}

/** One server's part of a load. */
export interface ServerShare {
  readonly server: string;
  readonly files: number;
  readonly bytes: number;
  /** Parts of the whole, from 0 to 1. */
  readonly fileShare: number;
  readonly byteShare: number;
  /** How long it had nothing to do, between the first arrival and the last answer. */
  readonly idleMs: number;
  readonly idleShare: number;
}

/** How a load went. */
export interface LoadSummary {
  readonly servers: readonly ServerShare[];
  /** From the arrival of a file until it was stored. */
  readonly waitMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** From the first arrival to the last answer. */
  readonly spanMs: number;
}

/** Sums up where files went. */
export function summarize(files: readonly PlacedFile[], servers: readonly string[]): LoadSummary {
  const fromMs = files.reduce((least, { arrivedMs }) => Math.min(least, arrivedMs), Number.POSITIVE_INFINITY);
  const untilMs = files.reduce((most, { storedMs }) => Math.max(most, storedMs), Number.NEGATIVE_INFINITY);
  const spanMs = files.length === 0 ? 0 : untilMs - fromMs;
  const allBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const waits = files.map(({ arrivedMs, storedMs }) => storedMs - arrivedMs).sort((a, b) => a - b);
  const sums = new Map(servers.map((server) => [server, { files: 0, bytes: 0, workMs: 0 }]));
  for (const { server, sizeBytes, workMs } of files) {
    const sum = sums.get(server) ?? { files: 0, bytes: 0, workMs: 0 };
    sums.set(server, { files: sum.files + 1, bytes: sum.bytes + sizeBytes, workMs: sum.workMs + workMs });
  }
  return {
    servers: [...sums].map(([server, sum]) => {
      const idleMs = Math.max(0, spanMs - sum.workMs);
      const of = (part: number, whole: number) => (whole > 0 ? part / whole : 0);
      return {
        ...{ server, files: sum.files, bytes: sum.bytes, idleMs },
        fileShare: of(sum.files, files.length),
        byteShare: of(sum.bytes, allBytes),
        idleShare: of(idleMs, spanMs),
      };
    }),
    waitMs: { p50: nearestRank(waits, 0.5), p99: nearestRank(waits, 0.99), max: waits.at(-1) ?? 0 },
    spanMs,
  };
}

/** The names of all servers in a load, in the order in which they were first seen. */
export function serversOf({ pools, files }: RecordedLoad): string[] {
  const seen = pools.flatMap(({ servers }) => servers.map(({ server }) => server));
  return [...new Set([...seen, ...files.map(({ server }) => server)])];
}

/** The smallest figure that at least this share of all do not exceed; 0 where there are none. */
function nearestRank(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}
