import { Worker } from "node:worker_threads";
import type { DocumentResult } from "./document-worker.js";
import { Refusal, refusalOf } from "./refusal.js";
import type { DocumentStats } from "./text-document.js";

/** The one who waits for a document. */
interface Waiter {
  readonly resolve: (stats: DocumentStats) => void;
  readonly reject: (refusal: Refusal) => void;
}

/**
 * A thread that reads text documents, one after another. A large one takes up to seconds, and on the event loop everybody else would wait for it:
 * other files, the balancer's probes, the answers that keep a link open.
 *
 * The thread is started with the first document, and keeps the process alive only while there are documents.
 */
export class DocumentThread {
  readonly #program: URL;
  #worker: Worker | undefined;
  /** Whom the documents under way are for, in their order. */
  #asked: Waiter[] = [];

  /** @param program what the thread runs; tests hand in one that fails */
  constructor(program = new URL("./document-worker.js", import.meta.url)) {
    this.#program = program;
  }

  /**
   * Reads a document; see `readTextDocument`.
   *
   * @param bytes all of it. They are handed over to the thread, and nobody else can use them any more
   * @throws Refusal NOT_A_TEXT_DOCUMENT; INTERNAL when the thread has failed
   */
  read(bytes: Uint8Array): Promise<DocumentStats> {
    return new Promise((resolve, reject) => {
      this.#worker ??= this.#start();
      this.#worker.ref();
      this.#asked.push({ resolve, reject });
      const own = inOwnMemory(bytes);
      this.#worker.postMessage(own, [own.buffer]);
    });
  }

  #start(): Worker {
    const worker = new Worker(this.#program);
    worker.on("message", (result: DocumentResult) => {
      const waiter = this.#asked.shift();
      if (this.#asked.length === 0) worker.unref();
      if (result.kind === "read") waiter?.resolve(result.stats);
      else waiter?.reject(new Refusal(result.reason, result.message));
    });
    // None of its documents is stored yet, so each can be refused; the next one starts another thread.
    worker.on("error", (error) => {
      this.#worker = undefined;
      const lost = this.#asked;
      this.#asked = [];
      for (const { reject } of lost) reject(refusalOf(error));
    });
    return worker;
  }
}

/** Bytes in memory that holds nothing else, since all of it is handed over. Only a part of larger memory, as Node gives it to short buffers, is copied. */
function inOwnMemory(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length;
  return isWhole ? new Uint8Array(buffer) : new Uint8Array(bytes);
}
