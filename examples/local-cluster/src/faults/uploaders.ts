import { BilanciaClient } from "@bilancia/cli/client";
import { bytesSource, type UploadSource } from "@bilancia/cli/client/upload-source";
import type { AckStage } from "@bilancia/cli/client/upload-types";
import type { Oracle } from "./oracle.js";
import type { Random } from "./random.js";

/** What uploaders do. */
export interface UploaderOptions {
  readonly address: string;
  readonly oracle: Oracle;
  readonly random: Random;
  /** Begins every name; unique in a run. */
  readonly prefix: string;
  /** Uploaders with a connection each: `stored` and `queued` in turn. */
  readonly clientCount: number;
  /** All of them wait for `queued`. */
  readonly queuedOnly: boolean;
  /** Files without an answer, of each. */
  readonly unansweredCount: number;
  readonly medianBytes: number;
  readonly maxFileBytes: number;
  /** Bytes of all files together after which no more are begun. */
  readonly budgetBytes: number;
}

/** Clients that send random files until they are told to finish, and come back after every loss of the connection with the same upload ids. */
export class Uploaders {
  readonly #options: UploaderOptions;
  readonly #done: Promise<unknown>;
  /** What became of files that were neither stored nor queued, for people. */
  readonly notStored: string[] = [];
  acknowledgedCount = 0;
  #begunCount = 0;
  #begunBytes = 0;
  #finishing = false;

  constructor(options: UploaderOptions) {
    this.#options = options;
    const stages = Array.from({ length: options.clientCount }, (_, index) =>
      options.queuedOnly || index % 2 ? "queued" : "stored",
    );
    this.#done = Promise.all(stages.map((ack) => this.#run(ack as AckStage)));
    // Whoever finishes hears of it.
    this.#done.catch(() => undefined);
  }

  /** Begins no more files, and waits for the answers to those begun. */
  async finish(): Promise<void> {
    this.#finishing = true;
    await this.#done;
  }

  /** Goes on until as much has been begun as may be, and waits for the answers. */
  async exhaust(): Promise<void> {
    await this.#done;
  }

  async #run(ack: AckStage): Promise<void> {
    const { address, oracle, unansweredCount } = this.#options;
    const limits = { retryForMs: 60_000, rejectionRetryCount: 100, unansweredLimitCount: unansweredCount };
    const client = new BilanciaClient({ address, connectTimeoutMs: 20_000, ...limits });
    try {
      for await (const result of client.upload(this.#sources(ack), { ack })) {
        if (result.state === "stored" || result.state === "queued") {
          oracle.acknowledged(result.name, result.uploadId);
          this.acknowledgedCount += 1;
        } else {
          const why = result.state === "rejected" ? result.rejection.message : result.message;
          this.notStored.push(`${result.name} ${result.state}: ${why}`);
        }
      }
    } finally {
      client.close();
    }
  }

  *#sources(ack: AckStage): Generator<UploadSource> {
    const { oracle, random, prefix, medianBytes, maxFileBytes, budgetBytes } = this.#options;
    while (!this.#finishing && this.#begunBytes < budgetBytes) {
      const left = Math.max(0, budgetBytes - this.#begunBytes);
      const bytes = random.bytes(Math.min(left, random.fileBytes(medianBytes, maxFileBytes)));
      this.#begunBytes += bytes.length;
      this.#begunCount += 1;
      const name = `${prefix}-${this.#begunCount}-${ack}.bin`;
      oracle.sending(name, bytes);
      yield bytesSource(name, bytes);
    }
  }
}
