import { Worker } from "node:worker_threads";
import type { FileMark } from "./disk.js";
import type { SmallFileJob, SmallFileJobs, SmallFileResult } from "./small-file-worker.js";

interface Pending {
  readonly job: SmallFileJob;
  readonly chunks: readonly Uint8Array[];
  readonly resolve: (mark: FileMark | undefined) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A thread that makes small files. Each system call takes microseconds, far less than a trip through Node's thread pool, so the calls are
 * made one after another in a thread of their own, and what is asked for in one turn of the event loop goes there, and comes back, in one
 * message. They must not be made on the event loop itself: while the file system flushes, any of them may wait for it.
 *
 * The thread is started with the first job, and keeps the process alive only while there are jobs.
 */
export class SmallFileThread {
  #worker: Worker | undefined;
  #next: Pending[] = [];
  #asked: Pending[][] = [];

  /** Makes a new file with all of its bytes; see `Disk.writeWhole`. */
  async writeWhole(path: string, chunks: readonly Uint8Array[]): Promise<FileMark> {
    const sizeBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const mark = await this.#ask({ kind: "write", path, sizeBytes }, chunks);
    if (!mark) throw new Error("the thread answered without the mark of the file");
    return mark;
  }

  /** Gives a file its final name; see `Disk.giveName`. */
  async giveName(from: string, to: string): Promise<void> {
    await this.#ask({ kind: "name", from, to }, []);
  }

  /** Flushes files, and the entries of directories. One that is gone counts as flushed. */
  async flush(paths: readonly string[]): Promise<void> {
    await this.#ask({ kind: "flush", paths }, []);
  }

  #ask(job: SmallFileJob, chunks: readonly Uint8Array[]): Promise<FileMark | undefined> {
    if (this.#next.length === 0) setImmediate(() => this.#post());
    return new Promise((resolve, reject) => this.#next.push({ job, chunks, resolve, reject }));
  }

  #post(): void {
    const batch = this.#next;
    this.#next = [];
    this.#asked.push(batch);
    const chunks = batch.flatMap((pending) => pending.chunks);
    // Memory of its own: it is handed over to the thread, not copied again.
    const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    const message: SmallFileJobs = { jobs: batch.map(({ job }) => job), bytes };
    this.#worker ??= this.#start();
    this.#worker.ref();
    this.#worker.postMessage(message, [bytes.buffer]);
  }

  #start(): Worker {
    const worker = new Worker(new URL("./small-file-worker.js", import.meta.url));
    worker.on("message", (results: SmallFileResult[]) => {
      const batch = this.#asked.shift() ?? [];
      if (this.#asked.length === 0) worker.unref();
      for (const [at, { resolve, reject }] of batch.entries()) {
        const { mark, problem } = results[at] ?? { problem: { message: "no result", code: "" } };
        if (problem) reject(Object.assign(new Error(problem.message), { code: problem.code }));
        else resolve(mark);
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
