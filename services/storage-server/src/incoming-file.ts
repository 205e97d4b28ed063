import { createHash } from "node:crypto";
import { RefuseReason, type SaveHeader, type SaveSaved } from "@bilancia/proto/gen/storage";
import type { Part } from "@bilancia/proto/part-codec";
import { crc32c } from "@node-rs/crc32";
import {
  type Expected,
  type FileHeader,
  throwIfDigestDiffers,
  throwIfSizeDiffers,
  tooLarge,
  withFinish,
} from "./file-header.js";
import type { StoredRecord } from "./file-index.js";
import { type Claim, numberTaken, staleAttempt, throwIfStale } from "./file-registry.js";
import type { Draft, Known } from "./file-store.js";
import { Refusal } from "./refusal.js";
import type { SaveDesk } from "./save-desk.js";
import { type DocumentStats, readTextDocument } from "./text-document.js";

/** Bytes of one file that may wait to be written before its stream is no longer read. */
const maxQueuedBytes = 4 * 1024 * 1024;
/** What a part costs in memory besides its data, about. */
const partOverheadBytes = 512;
/** A whole document up to this size is read here: as a rule that takes less time than the way to the thread. In bytes. */
const maxSmallDocumentBytes = 64 * 1024;
/** The longest time a timer can be set to, in milliseconds. */
const maxTimerMs = 2 ** 31 - 1;

/** How a file ended. `dropped`: its stream broke before it was whole, and nobody waits for an answer. */
export type FileOutcome =
  | { readonly kind: "saved"; readonly saved: SaveSaved }
  | { readonly kind: "refused"; readonly refusal: Refusal }
  | { readonly kind: "dropped" }
  | { readonly kind: "failed"; readonly error: unknown };

/** The file's stream broke before the file was whole. */
class Dropped extends Error {}

/**
 * One file being received: takes its parts as they come, and in the meantime finds out what is known of it, writes it, checks it and stores
 * it. A file that is whole by the time its turn comes is written in one go; any other goes through a draft.
 */
export class IncomingFile {
  readonly header: FileHeader;
  /** Resolves with how it ended; never rejects. */
  readonly outcome: Promise<FileOutcome>;
  readonly #desk: SaveDesk;
  #chunks: Uint8Array[] = [];
  #queuedBytes = 0;
  #chargedBytes = 0;
  #receivedBytes = 0;
  #expected: Expected;
  #whole = false;
  #stop: Error | undefined;
  #ended = false;
  #onNews = () => {};
  #onRoom = () => {};
  #endWait = () => {};

  /**
   * @param firstPart the part with the header; its offset is 0
   * @param onAccept called when the sender should go on sending
   */
  constructor(header: FileHeader, firstPart: Part<SaveHeader>, desk: SaveDesk, onAccept: () => void) {
    this.header = header;
    this.#expected = header;
    this.#desk = desk;
    desk.inFlight.begin();
    this.push(firstPart);
    this.outcome = this.#run(this.#whole ? () => {} : onAccept);
  }

  /** Where the next part has to begin, in bytes. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Whether its `finish` has arrived. */
  get whole(): boolean {
    return this.#whole;
  }

  /** Whether its fate is known already: what else comes of it is to be skipped. */
  get decided(): boolean {
    return this.#ended || this.#stop !== undefined;
  }

  /** Takes the next part. */
  push(part: Part<SaveHeader>): void {
    if (this.decided) return;
    try {
      this.#check(part);
    } catch (error) {
      this.#halt(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (part.data.length > 0) {
      this.#chunks.push(part.data);
      this.#queuedBytes += part.data.length;
    }
    this.#charge(part.data.length + partOverheadBytes);
    this.#onNews();
  }

  /** Whether taking the next part would only pile it up in memory. */
  get full(): boolean {
    return this.#queuedBytes >= maxQueuedBytes && !this.decided;
  }

  /** Resolves when it is no longer full. */
  async room(): Promise<void> {
    while (this.full) {
      await new Promise<void>((resolve) => {
        this.#onRoom = resolve;
      });
    }
  }

  /** Its stream is gone: gives it up unless it is whole, and waits for no answer's sake. */
  drop(): void {
    if (!this.#whole) this.#halt(new Dropped());
    this.#endWait();
  }

  #check(part: Part<SaveHeader>): void {
    const { data, finish } = part;
    const checksum = part.crc32c === undefined ? undefined : crc32c(data);
    if (checksum !== part.crc32c)
      throw new Refusal(
        RefuseReason.REFUSE_REASON_CHECKSUM_MISMATCH,
        `the CRC-32C of the part at offset ${part.offset} is ${checksum}; ${part.crc32c} was sent with it`,
      );
    this.#receivedBytes += data.length;
    this.#desk.inFlight.received(data.length);
    const { limitBytes, isTextDocument } = this.header;
    if (this.#receivedBytes > limitBytes) throw tooLarge(this.#receivedBytes, limitBytes, isTextDocument);
    if (finish) this.#expected = withFinish(this.header, finish);
    const { sizeBytes } = this.#expected;
    if (finish || this.#receivedBytes > (sizeBytes ?? Number.POSITIVE_INFINITY))
      throwIfSizeDiffers(this.#receivedBytes, this.#expected);
    this.#whole = finish !== undefined;
  }

  async #run(onAccept: () => void): Promise<FileOutcome> {
    try {
      return { kind: "saved", saved: await this.#save(onAccept) };
    } catch (error) {
      if (error instanceof Refusal) return { kind: "refused", refusal: error };
      return error instanceof Dropped ? { kind: "dropped" } : { kind: "failed", error };
    } finally {
      this.#ended = true;
      this.#takeChunks();
      this.#desk.inFlight.end(this.#receivedBytes);
    }
  }

  async #save(onAccept: () => void): Promise<SaveSaved> {
    const { header } = this;
    const { registry, store } = this.#desk;
    if (this.#stop) registry.saw(header);
    this.#throwIfStopped();
    const claim = await registry.claim(header, () => this.#halt(staleAttempt("it took this file over")));
    try {
      this.#throwIfStopped();
      const known = await store.find(header.id);
      const duplicate = await this.#judge(known);
      if (duplicate) return savedFrom(duplicate, true);
      onAccept();
      const record = this.#whole ? await this.#saveWhole(claim) : await this.#saveAsItComes(claim);
      registry.recorded(header);
      claim.phase = "done";
      this.#takeChunks();
      await this.#simulateWork(record);
      return savedFrom(record, false);
    } finally {
      claim.release();
    }
  }

  /** The record to answer with when the file is stored already. @throws Refusal when it must not be stored */
  async #judge(known: Known): Promise<StoredRecord | undefined> {
    const { id, uploadId, fence } = this.header;
    if (known.state === "stored" && known.record.uploadId !== uploadId) throw numberTaken(id);
    throwIfStale(fence, known.fence);
    if (known.state === "discarded" && known.fence.term === fence.term && known.fence.attempt === fence.attempt)
      throw staleAttempt("this one has been discarded");
    if (known.state !== "stored") return undefined;
    const { record } = known;
    throwIfSizeDiffers(record.sizeBytes, this.#expected);
    throwIfDigestDiffers(Buffer.from(record.sha256, "hex"), this.#expected);
    // Flushed before the answer: a later `Discard` of the earlier attempt must not remove what this one was promised.
    if (fence.term !== known.fence.term || fence.attempt !== known.fence.attempt)
      await this.#desk.store.raiseFence(id, record, fence);
    return record;
  }

  async #saveWhole(claim: Claim): Promise<StoredRecord> {
    claim.phase = "committing";
    return this.#desk.writes.run(async () => {
      this.#throwIfStopped();
      const chunks = this.#chunks;
      const hash = createHash("sha256");
      for (const chunk of chunks) hash.update(chunk);
      const sha256 = hash.digest();
      throwIfDigestDiffers(sha256, this.#expected);
      const stats = this.header.isTextDocument ? await this.#readWhole(chunks) : undefined;
      return this.#desk.store.saveWhole({ stats, ...this.header, sizeBytes: this.#receivedBytes, sha256 }, chunks);
    });
  }

  async #readWhole(chunks: readonly Uint8Array[]): Promise<DocumentStats> {
    if (this.#receivedBytes <= maxSmallDocumentBytes) return readTextDocument(chunks);
    // A copy, which the thread keeps: they are still to be written.
    return this.#desk.documents.run(() => this.#desk.documentThread.read(Buffer.concat(chunks)));
  }

  async #saveAsItComes(claim: Claim): Promise<StoredRecord> {
    claim.phase = "receiving";
    const draft = await this.#desk.store.begin();
    const hash = createHash("sha256");
    let sha256: Buffer;
    let stats: DocumentStats | undefined;
    try {
      await this.#writeAll(draft, (chunk) => hash.update(chunk));
      claim.phase = "committing";
      sha256 = hash.digest();
      throwIfDigestDiffers(sha256, this.#expected);
      if (this.header.isTextDocument)
        stats = await this.#desk.documents.run(async () => this.#desk.documentThread.read(await draft.read()));
    } catch (error) {
      await draft.drop();
      throw error;
    }
    return draft.save({ stats, ...this.header, sizeBytes: this.#receivedBytes, sha256 });
  }

  async #writeAll(draft: Draft, onChunk: (chunk: Uint8Array) => void): Promise<void> {
    for (;;) {
      this.#throwIfStopped();
      if (this.#chunks.length === 0) {
        if (this.#whole) return;
        // Parts without data leave nothing to write.
        this.#giveCharged();
        await new Promise<void>((resolve) => {
          this.#onNews = resolve;
        });
        continue;
      }
      // They stay charged while they are written.
      const chunks = this.#chunks;
      const chargedBytes = this.#chargedBytes;
      const queuedBytes = this.#queuedBytes;
      this.#chunks = [];
      this.#chargedBytes = 0;
      try {
        for (const chunk of chunks) onChunk(chunk);
        await draft.write(chunks);
      } finally {
        this.#desk.buffered.give(chargedBytes);
        this.#queuedBytes -= queuedBytes;
        this.#onRoom();
      }
    }
  }

  /** Stands for slow processing; an ordinary wait, so that everything else goes on. */
  async #simulateWork(record: StoredRecord): Promise<void> {
    const waitMs = (record.stats?.characters ?? 0) * this.#desk.simulateWorkMsPerChar;
    if (waitMs <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(waitMs, maxTimerMs));
      this.#endWait = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #charge(bytes: number): void {
    this.#chargedBytes += bytes;
    this.#desk.buffered.take(bytes);
  }

  #halt(why: Error): void {
    this.#stop ??= why;
    this.#takeChunks();
    this.#onNews();
  }

  /** Lets go of everything that waits to be written. */
  #takeChunks(): void {
    this.#chunks = [];
    this.#queuedBytes = 0;
    this.#giveCharged();
    this.#onRoom();
  }

  #giveCharged(): void {
    this.#desk.buffered.give(this.#chargedBytes);
    this.#chargedBytes = 0;
  }

  #throwIfStopped(): void {
    if (this.#stop) throw this.#stop;
  }
}

function savedFrom(record: StoredRecord, duplicate: boolean): SaveSaved {
  const { storedName, sizeBytes, sha256, stats } = record;
  const textStats = stats && { lettersA: BigInt(stats.lettersA), characters: BigInt(stats.characters) };
  return { storedName, sizeBytes: BigInt(sizeBytes), sha256: Buffer.from(sha256, "hex"), duplicate, textStats };
}
