import { closeSync, constants, fstatSync, fsyncSync, linkSync, openSync, unlinkSync, writeSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { errorCode } from "@bilancia/proto/system-error";

/**
 * Several jobs of one kind, done in their order. Plain lists, since each object in a message costs as much as a system call.
 * `bytes` holds the bytes of all files to be written, one after another.
 */
export type SmallFileJobs =
  | {
      readonly kind: "write";
      readonly paths: readonly string[];
      readonly sizes: readonly number[];
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "name"; readonly froms: readonly string[]; readonly tos: readonly string[] }
  | { readonly kind: "flush"; readonly paths: readonly string[] };

/** What became of the jobs of one message. */
export interface SmallFileResults {
  /** When each file was last written, in nanoseconds since 1970; empty for the other kinds. */
  readonly modifiedNs: readonly bigint[];
  /** What Node's error said of the jobs that failed. */
  readonly problems: ReadonlyMap<number, { readonly message: string; readonly code: string }>;
}

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

function write(path: string, bytes: Uint8Array): bigint {
  const file = openSync(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o644);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    return fstatSync(file, { bigint: true }).mtimeNs;
  } finally {
    closeSync(file);
  }
}

function giveName(from: string, to: string): void {
  linkSync(from, to);
  try {
    unlinkSync(from);
  } catch {
    // It stays as a temp file, which the next start sweeps.
  }
}

function flush(path: string): void {
  try {
    const file = openSync(path, constants.O_RDONLY);
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

/** The body of the thread: does the jobs of each message, and answers with what became of them in one message. */
parentPort?.on("message", (jobs: SmallFileJobs) => {
  const modifiedNs: bigint[] = [];
  const problems = new Map<number, { message: string; code: string }>();
  const attempt = (at: number, job: () => void) => {
    try {
      job();
    } catch (error) {
      problems.set(at, { message: error instanceof Error ? error.message : String(error), code: errorCode(error) });
    }
  };
  switch (jobs.kind) {
    case "write": {
      let from = 0;
      for (const [at, path] of jobs.paths.entries()) {
        const to = from + (jobs.sizes[at] ?? 0);
        modifiedNs.push(0n);
        attempt(at, () => {
          modifiedNs[at] = write(path, jobs.bytes.subarray(from, to));
        });
        from = to;
      }
      break;
    }
    case "name":
      for (const [at, from] of jobs.froms.entries()) attempt(at, () => giveName(from, jobs.tos[at] ?? ""));
      break;
    case "flush":
      for (const [at, path] of jobs.paths.entries()) attempt(at, () => flush(path));
  }
  const results: SmallFileResults = { modifiedNs, problems };
  parentPort?.postMessage(results);
});
