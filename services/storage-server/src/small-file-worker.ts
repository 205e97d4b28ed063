import { closeSync, constants, fstatSync, fsyncSync, linkSync, openSync, unlinkSync, writeSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import type { FileMark } from "./disk.js";
import { errorCode } from "./system-error.js";

/** One step of a small file, in the order in which the steps were asked for. */
export type SmallFileJob =
  | { readonly kind: "write"; readonly path: string; readonly sizeBytes: number }
  | { readonly kind: "name"; readonly from: string; readonly to: string }
  | { readonly kind: "flush"; readonly paths: readonly string[] };

/** Several jobs. `bytes` holds the bytes of all files to be written, one after another. */
export interface SmallFileJobs {
  readonly jobs: readonly SmallFileJob[];
  readonly bytes: Uint8Array;
}

/** What became of a job: the mark of a written file, nothing for the others, or what Node's error said. */
export interface SmallFileResult {
  readonly mark?: FileMark;
  readonly problem?: { readonly message: string; readonly code: string };
}

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

function write(path: string, bytes: Uint8Array): FileMark {
  const file = openSync(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o644);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    const { size, mtimeNs } = fstatSync(file, { bigint: true });
    return { sizeBytes: Number(size), modifiedNs: mtimeNs };
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

/** The body of the thread: does the jobs of each message one after another, and answers with their results in one message. */
parentPort?.on("message", ({ jobs, bytes }: SmallFileJobs) => {
  let at = 0;
  const results = jobs.map((job): SmallFileResult => {
    const from = at;
    if (job.kind === "write") at += job.sizeBytes;
    try {
      if (job.kind === "write") return { mark: write(job.path, bytes.subarray(from, at)) };
      if (job.kind === "name") giveName(job.from, job.to);
      else for (const path of job.paths) flush(path);
      return {};
    } catch (error) {
      return { problem: { message: error instanceof Error ? error.message : String(error), code: errorCode(error) } };
    }
  });
  parentPort?.postMessage(results);
});
