import { setTimeout as sleep } from "node:timers/promises";
import { connectionWords } from "@bilancia/proto/connection-words";
import type { BalancerClient } from "@bilancia/proto/services";
import { describeError } from "@bilancia/proto/system-error";
import { callUnary } from "@bilancia/proto/unary";
import { status as grpcStatus, type ServiceError } from "@grpc/grpc-js";
import { backoffMs } from "./backoff.js";
import { BalancerError, UnreachableError, UploadAbortedError } from "./errors.js";
import { readWhole, sendPieces, sendWhole } from "./file-sender.js";
import { PlaceWatch, type PlaceWatchParts } from "./place-watch.js";
import { connectionProblem } from "./service-error.js";
import type { Upload } from "./upload.js";
import { UploadQueue, type UploadQueueOptions } from "./upload-queue.js";
import type { UploadSource } from "./upload-source.js";
import { isPassing, type StreamEnd, UploadStream } from "./upload-stream.js";
import type { UnansweredFile, UploadResult } from "./upload-types.js";

/** How long the balancer may take to end the stream when every file has its answer. */
const finishGraceMs = 1_000;

/** How long the client may take to say why it has no connection; it says so at once, unless it is just trying. */
const knownTimeoutMs = 200;

/** How long is waited for a connection at a time: a wait cannot be called off, and keeps the process alive when the upload was stopped. */
const connectTurnMs = 200;

/** How long other files wait behind one that the balancer was asked about after a lost connection. */
const askTimeoutMs = 5_000;

/** What a session needs to know. */
export interface UploadSessionOptions extends UploadQueueOptions {
  readonly address: string;
  readonly connectTimeoutMs: number;
  readonly retryForMs: number;
  readonly unansweredLimitCount: number;
  /** Asks what the balancer knows of an upload. */
  readonly ask: PlaceWatchParts["ask"];
  /** Drops what the balancer holds of an upload that was given up. Must not throw. */
  readonly forget: (uploadId: string) => void;
}

/**
 * One upload of any number of files: takes files from their sources as there is room, keeps a stream open while there is work, and starts
 * a new one when it breaks. Used once: `results()` runs it and cleans up after it.
 */
export class UploadSession {
  readonly #client: BalancerClient;
  readonly #sources: AsyncIterable<UploadSource> | Iterable<UploadSource>;
  readonly #options: UploadSessionOptions;
  readonly #queue: UploadQueue;
  readonly #stop = new AbortController();
  #sourcesEnded = false;
  #givenUp: string | undefined;
  #stream: UploadStream | undefined;

  constructor(
    client: BalancerClient,
    sources: AsyncIterable<UploadSource> | Iterable<UploadSource>,
    options: UploadSessionOptions,
  ) {
    this.#client = client;
    this.#sources = sources;
    this.#options = options;
    this.#queue = new UploadQueue(options);
  }

  /** Runs the upload. @throws UnreachableError, BalancerError, UploadAbortedError, or what the sources throw */
  async *results(): AsyncGenerator<UploadResult, void, void> {
    const { signal, onPlace: tell, ask } = this.#options;
    const watch = tell && new PlaceWatch({ longestWaiting: () => this.#queue.longestWaiting, ask, tell });
    let failure: (() => unknown) | undefined;
    let over = false;
    const failWith = (error: () => unknown) => {
      failure ??= error;
      this.#queue.changed.notify();
    };
    const fail = (error: unknown) => failWith(() => error);
    const abort = () => failWith(() => new UploadAbortedError(signal?.reason, this.#unanswered()));
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    watch?.start();
    try {
      if (!failure) {
        this.#pullSources().catch(fail);
        this.#work().then(() => {
          over = true;
          this.#queue.changed.notify();
        }, fail);
      }
      for (;;) {
        const results = this.#queue.takeResults();
        yield* results;
        if (results.length > 0) continue;
        if (failure) throw failure();
        if (over) return;
        await this.#queue.changed.wait();
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      watch?.stop();
      this.#stop.abort();
      this.#queue.stop();
      this.#stream?.close();
      this.#queue.changed.notify();
    }
  }

  get #stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  get #done(): boolean {
    return this.#sourcesEnded && this.#queue.settled;
  }

  async #pullSources(): Promise<void> {
    for await (const source of this.#sources) {
      while (this.#queue.heldCount >= this.#options.unansweredLimitCount && !this.#stopped)
        await this.#queue.changed.wait();
      if (this.#stopped) return;
      const upload = this.#queue.add(source);
      if (this.#givenUp !== undefined) this.#queue.fail(upload, this.#givenUp);
      else this.#queue.changed.notify();
    }
    this.#sourcesEnded = true;
    this.#queue.changed.notify();
  }

  /** The files that the balancer may have something of. One that waits to be tried again was rejected. */
  #unanswered(): UnansweredFile[] {
    const begun = this.#queue.unanswered.filter(
      ({ begunAtMs, phase }) => begunAtMs !== undefined && phase !== "waiting",
    );
    return begun.map(({ uploadId, requestNumber, source: { name, sizeBytes }, phase, sentBytes }) => ({
      requestNumber,
      uploadId,
      name,
      sizeBytes,
      allSent: phase === "sent" || sentBytes === sizeBytes,
    }));
  }

  async #work(): Promise<void> {
    const { address, connectTimeoutMs, retryForMs, nowMs, random, onNotice } = this.#options;
    if (!(await this.#connected(connectTimeoutMs))) {
      const why = await this.#connectionProblem();
      const words = why === undefined ? "; is it running there?" : `: ${why}`;
      throw new UnreachableError(address, `no connection within ${connectTimeoutMs / 1000} s${words}`);
    }
    let downMs = 0;
    let failureCount = 0;
    while (!this.#stopped) {
      onNotice?.({ type: "connected", address });
      const gainCount = this.#queue.gainCount;
      const end = await this.#useStream();
      if (!end || this.#stopped) return;
      if (!isPassing(end)) throw asBalancerError(end, address);
      if (this.#queue.gainCount > gainCount) {
        downMs = 0;
        failureCount = 0;
      }
      const why = connectionWords(end.details) || "the balancer ended the stream";
      onNotice?.({ type: "connection-lost", address, why });
      const lostAtMs = nowMs();
      failureCount++;
      await sleep(backoffMs(failureCount, random()), undefined, { signal: this.#stop.signal });
      const leftMs = retryForMs - downMs - (nowMs() - lostAtMs);
      if (!(await this.#connected(leftMs))) {
        if (this.#stopped) return;
        await this.#giveUp(`given up after ${retryForMs / 1000} s without progress at ${address}: ${why}`);
        return;
      }
      downMs += nowMs() - lostAtMs;
    }
  }

  async #connected(timeoutMs: number): Promise<boolean> {
    const untilMs = Date.now() + timeoutMs;
    while (Date.now() < untilMs && !this.#stopped) {
      const turnEndMs = Math.min(untilMs, Date.now() + connectTurnMs);
      const ready = await new Promise<boolean>((resolve) => {
        this.#client.waitForReady(turnEndMs, (error) => resolve(error === undefined));
      });
      if (ready) return true;
      // It ends long before its time only where the client is closed.
      if (turnEndMs - Date.now() > connectTurnMs / 2) return false;
    }
    return false;
  }

  /** Why there is no connection, where the client knows: it then answers a call at once. */
  async #connectionProblem(): Promise<string | undefined> {
    const anything = { key: { $case: "uploadId" as const, value: "" } };
    try {
      await callUnary(this.#client.queryUpload.bind(this.#client), anything, knownTimeoutMs);
    } catch (error) {
      const { code, details } = error as ServiceError;
      if (code === grpcStatus.UNAVAILABLE) return connectionProblem(details);
    }
    return undefined;
  }

  /** Works through one stream. Returns how it ended, or nothing when all work is done. */
  async #useStream(): Promise<StreamEnd | undefined> {
    const stream = new UploadStream(this.#client.uploadFile(), (events) => this.#queue.handle(events));
    this.#stream = stream;
    void stream.ended.then(() => this.#queue.changed.notify());
    try {
      while (!stream.closed && !this.#done) {
        const uploads = this.#queue.take();
        const [first] = uploads;
        if (!first) await this.#queue.changed.wait();
        else if (first.small) await this.#sendSmall(stream, uploads);
        else await this.#sendLarge(stream, first);
      }
      if (!this.#done) return await stream.ended;
      // With `queued` the balancer would keep the stream open until everything is stored.
      await stream.finish(this.#options.ack === "queued" ? 0 : finishGraceMs);
      return undefined;
    } finally {
      stream.close();
      this.#queue.restart();
    }
  }

  async #sendSmall(stream: UploadStream, uploads: readonly Upload[]): Promise<void> {
    const contents = await Promise.all(
      uploads.map((upload) =>
        readWhole(upload).catch((error: unknown) => {
          this.#queue.fail(upload, describeError(error));
          return undefined;
        }),
      ),
    );
    for (const [index, upload] of uploads.entries()) {
      const bytes = contents[index];
      if (stream.closed) return;
      if (bytes) await sendWhole(stream, upload, bytes, this.#onSent);
    }
  }

  async #sendLarge(stream: UploadStream, upload: Upload): Promise<void> {
    try {
      let fromBytes = 0;
      if (upload.known) {
        upload.phase = "asking";
        await stream.push(upload.headerPart());
        if (!(await this.#mayGoOn(stream, upload))) return;
        fromBytes = upload.resumeBytes;
        this.#queue.sent(upload, fromBytes);
      } else {
        upload.known = true;
        await stream.push(upload.headerPart());
      }
      await sendPieces(stream, upload, fromBytes, this.#onSent);
    } catch (error) {
      this.#queue.fail(upload, describeError(error));
      if (!upload.source.identity) this.#options.forget(upload.uploadId);
    }
  }

  readonly #onSent = (upload: Upload, sentBytes: number): void => this.#queue.sent(upload, sentBytes);

  /** Waits until the balancer has said from where to go on, and tells whether to do so. When it does not say so in time, other files get their turn. */
  async #mayGoOn(stream: UploadStream, upload: Upload): Promise<boolean> {
    let expired = false;
    const timer = setTimeout(() => {
      expired = true;
      this.#queue.changed.notify();
    }, askTimeoutMs);
    while (upload.phase === "asking" && !stream.closed && !expired) await this.#queue.changed.wait();
    clearTimeout(timer);
    if (upload.phase === "asking") upload.phase = "overdue";
    return upload.phase === "sending";
  }

  async #giveUp(message: string): Promise<void> {
    this.#givenUp = message;
    this.#queue.failAll(message);
    while (!this.#sourcesEnded && !this.#stopped) await this.#queue.changed.wait();
  }
}

function asBalancerError(end: StreamEnd, address: string): BalancerError {
  const code = grpcStatus[end.code] ?? String(end.code);
  const words =
    end.code === grpcStatus.UNIMPLEMENTED
      ? `what listens at ${address} is no Bilancia balancer (${end.details})`
      : `the balancer at ${address} ended the upload: ${end.details} (${code})`;
  return new BalancerError(code, words);
}
