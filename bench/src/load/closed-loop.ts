import type { Contender } from "./contender.js";
import type { StoredFile } from "./dialect.js";
import type { Payload } from "./payload.js";

/** What a contender did. */
export interface LoadResult {
  readonly filesCount: number;
  readonly bytes: number;
  /** From the first file sent to the last one acknowledged. */
  readonly elapsedMs: number;
  readonly files: readonly StoredFile[];
}

/** What to send. */
export interface LoadOptions {
  /** How many files are under way at a time. */
  readonly concurrency: number;
  /** The next file, or nothing when that is all. */
  readonly next: () => Payload | undefined;
}

/** Sends files with so many workers, each of which waits for its file's acknowledgement before it sends another. @throws Error when any file fails */
export async function closedLoop(contender: Contender, { concurrency, next }: LoadOptions): Promise<LoadResult> {
  const files: StoredFile[] = [];
  let filesCount = 0;
  let bytes = 0;
  let failed = false;
  const startMs = performance.now();
  const work = async (worker: number) => {
    for (let payload = next(); payload && !failed; payload = next()) {
      const file = await contender.send(worker, payload);
      if (file) files.push(file);
      filesCount++;
      bytes += payload.sizeBytes;
    }
  };
  const workers = Array.from({ length: concurrency }, (_, worker) => work(worker));
  try {
    await Promise.all(workers);
  } catch (error) {
    failed = true;
    await Promise.allSettled(workers);
    throw new Error(`${contender.name}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
  return { filesCount, bytes, elapsedMs: performance.now() - startMs, files };
}

/** Files from a list, over and over, until the time is up. */
export function forTime(payloads: readonly Payload[], durationMs: number): () => Payload | undefined {
  const endMs = performance.now() + durationMs;
  let sentCount = 0;
  return () => (performance.now() < endMs ? payloads[sentCount++ % payloads.length] : undefined);
}

/** Each file of a list once. */
export function once(payloads: readonly Payload[]): () => Payload | undefined {
  let sentCount = 0;
  return () => payloads[sentCount++];
}
