import { Worker } from "node:worker_threads";
import type { FileMark } from "./disk.js";
import type { SmallFileJobs, SmallFileResults } from "./small-file-worker.js";

/** The one who waits for a job. */
interface Waiter {
  readonly resolve: (modifiedNs: bigint) => void;
  readonly reject: (error: Error) => void;
}

/** The jobs of one kind that go in one message. More of them would only let this thread wait for that one, and that one for this. */
const maxJobsPerMessage = 64;

/** The jobs of one kind of one turn. */
interface Jobs<Job> {
  readonly jobs: Job[];
  readonly waiters: Waiter[];
}

/**
 * A thread that makes small files. Each system call takes microseconds, far less than a trip through Node's thread pool, so the calls are
 * made one after another in a thread of their own, and what is asked for in one turn of the event loop goes there, and comes back, in a few
 * messages. They must not be made on the event loop itself: while the file system flushes, any of them may wait for it.
 *
 * The thread is started with the first job, and keeps the process alive only while there are jobs.
 */
export class SmallFileThread {
  #worker: Worker | undefined;
  #writes: Jobs<{ readonly path: string; readonly chunks: readonly Uint8Array[]; readonly sizeBytes: number }> =
    noJobs();
  #names: Jobs<{ readonly from: string; readonly to: string }> = noJobs();
  #flushes: Jobs<string> = noJobs();
  #isPosting = false;
  /** Whom the messages under way are for, in their order. */
  #asked: (readonly Waiter[])[] = [];

  /** Makes a new file with all of its bytes; see `Disk.writeWhole`. */
  async writeWhole(path: string, chunks: readonly Uint8Array[]): Promise<FileMark> {
    const sizeBytes = lengthOf(chunks);
    const modifiedNs = await this.#ask(this.#writes, { path, chunks, sizeBytes });
    return { sizeBytes, modifiedNs };
  }

  /** Gives a file its final name; see `Disk.giveName`. */
  async giveName(from: string, to: string): Promise<void> {
    await this.#ask(this.#names, { from, to });
  }

  /** Flushes files, and the entries of directories. One that is gone counts as flushed. */
  async flush(paths: readonly string[]): Promise<void> {
    await Promise.all(paths.map((path) => this.#ask(this.#flushes, path)));
  }

  #ask<Job>({ jobs, waiters }: Jobs<Job>, job: Job): Promise<bigint> {
    if (!this.#isPosting) {
      this.#isPosting = true;
      setImmediate(() => {
        this.#isPosting = false;
        this.#post();
      });
    }
    return new Promise((resolve, reject) => {
      jobs.push(job);
      waiters.push({ resolve, reject });
      if (jobs.length === maxJobsPerMessage) this.#post();
    });
  }

  #post(): void {
    const [writes, names, flushes] = [this.#writes, this.#names, this.#flushes];
    this.#writes = noJobs();
    this.#names = noJobs();
    this.#flushes = noJobs();
    const { jobs: files } = writes;
    if (files.length > 0) {
      // Memory of its own: it is handed over to the thread, not copied again.
      const bytes = concat(files.flatMap(({ chunks }) => chunks));
      const paths = files.map(({ path }) => path);
      this.#send(
        { kind: "write", paths, sizes: files.map(({ sizeBytes }) => sizeBytes), bytes },
        writes.waiters,
        bytes,
      );
    }
    if (names.jobs.length > 0) {
      const froms = names.jobs.map(({ from }) => from);
      this.#send({ kind: "name", froms, tos: names.jobs.map(({ to }) => to) }, names.waiters);
    }
    if (flushes.jobs.length > 0) this.#send({ kind: "flush", paths: flushes.jobs }, flushes.waiters);
  }

  #send(jobs: SmallFileJobs, waiters: readonly Waiter[], bytes?: Uint8Array<ArrayBuffer>): void {
    this.#worker ??= this.#start();
    this.#worker.ref();
    this.#asked.push(waiters);
    this.#worker.postMessage(jobs, bytes ? [bytes.buffer] : []);
  }

  #start(): Worker {
    const worker = new Worker(new URL("./small-file-worker.js", import.meta.url));
    worker.on("message", ({ modifiedNs, problems }: SmallFileResults) => {
      const waiters = this.#asked.shift() ?? [];
      if (this.#asked.length === 0) worker.unref();
      for (const [at, { resolve, reject }] of waiters.entries()) {
        const problem = problems.get(at);
        if (problem) reject(Object.assign(new Error(problem.message), { code: problem.code }));
        else resolve(modifiedNs[at] ?? 0n);
      }
    });
    // What was asked of it may be done or not, as with any operation that failed; the next job starts another.
    worker.on("error", (error) => {
      this.#worker = undefined;
      const lost = this.#asked.flat();
      this.#asked = [];
      for (const { reject } of lost) reject(error);
    });
    return worker;
  }
}

function noJobs<Job>(): Jobs<Job> {
  return { jobs: [], waiters: [] };
}

function lengthOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0);
}

function concat(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lengthOf(chunks));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
