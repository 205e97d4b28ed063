import { LineMeter } from "../domain/line-meter.js";
import type { UploadName } from "../domain/occurrence.js";
import type { Priority } from "../domain/priority.js";
import type { Observer } from "../ports/observer.js";
import type { QueuePlace } from "../ports/upload-directory.js";
import { Claims, type EndedClaims } from "./claims.js";
import { FairLine } from "./fair-line.js";
import { NumberFifo } from "./number-fifo.js";
import type { UploadRecord } from "./upload-record.js";

/** Waiting uploads beyond this many are known to the ledger alone. */
const maxWaitingInMemory = 2_000;

/**
 * The order in which uploads go out: those that have been tried before, then fairly among clients, and first in, first out for each priority of each of them. What a server has claimed stands in a line of its
 * own for that server. It holds their numbers only, and a number may come out once more than it should, which does no harm: see `isResting`.
 */
export class WaitingLine {
  readonly #returned = new NumberFifo();
  readonly #fresh = new FairLine();
  /** Uploads whose pause before the next attempt is not over. */
  readonly #resting = new Map<bigint, NodeJS.Timeout>();
  /** Set while nothing is given out. */
  #held: NodeJS.Timeout | undefined;
  readonly claims: Claims;
  readonly #meter = new LineMeter();
  readonly #nowMs: () => number;
  /** Called when `next` may have something again. */
  onReady: () => void = () => {};

  constructor(nowMs: () => number, observer: Observer) {
    this.claims = new Claims(observer);
    this.#nowMs = nowMs;
  }

  /** Where an upload stands; `undefined` where it does not wait in the common line: it rests, has been claimed, or is under way. */
  place(requestNumber: bigint): QueuePlace | undefined {
    if (this.isResting(requestNumber)) return undefined;
    const returned = this.#returned.before(requestNumber);
    const fresh = returned ? undefined : this.#fresh.before(requestNumber);
    if (!returned && !fresh) return undefined;
    // What was tried before goes first.
    const filesAhead = returned ? returned.files : this.#returned.length + (fresh?.files ?? 0);
    const bytesAhead = fresh?.costBytes ?? 0;
    const startsInMs = filesAhead === 0 ? 0 : this.#meter.untilGoneMs(this.#nowMs(), bytesAhead);
    return { position: filesAhead + 1, bytesAhead, startsInMs };
  }

  /** Whether so many wait that the last of them need not stay in memory. */
  get long(): boolean {
    return this.#fresh.length > maxWaitingInMemory;
  }

  /** Gives nothing out for a while, whoever has claimed it. */
  hold(forMs: number): void {
    this.#held ??= setTimeout(() => {
      this.#held = undefined;
      this.onReady();
    }, forMs);
  }

  /** The next upload that a server has claimed. */
  nextClaimed(server: string): bigint | undefined {
    return this.#held ? undefined : this.claims.next(server);
  }

  /** The next upload that nobody has claimed. */
  next(): bigint | undefined {
    if (this.#held) return undefined;
    for (;;) {
      const requestNumber = this.#returned.shift() ?? this.#nextFresh();
      if (requestNumber === undefined || !this.claims.passOver(requestNumber)) return requestNumber;
    }
  }

  /**
   * Whether an upload whose number has come out of the line is not to be tried yet. What went out by a claim leaves its number behind in the common
   * line, where it may come out while the upload waits for its next attempt.
   */
  isResting(requestNumber: bigint): boolean {
    return this.#resting.has(requestNumber);
  }

  /** A server claims an upload that waits: whatever pause there was is over. Claimed again, it stays where it is. */
  claim(upload: UploadName, server: string, untilMs: number): void {
    if (!this.claims.claim(upload, server, untilMs)) return;
    const { requestNumber } = upload;
    const timer = this.#resting.get(requestNumber);
    if (timer) {
      clearTimeout(timer);
      this.#resting.delete(requestNumber);
      this.#returned.push(requestNumber);
    }
    this.onReady();
  }

  /** Claims have ended: their uploads go to whichever server is next. */
  unclaimed({ files, back }: EndedClaims): void {
    for (const requestNumber of back) this.#returned.push(requestNumber);
    if (files > 0) this.onReady();
  }

  #nextFresh(): bigint | undefined {
    const before = this.#fresh.cost;
    const requestNumber = this.#fresh.shift();
    if (requestNumber !== undefined) this.#meter.took(this.#nowMs(), before - this.#fresh.cost, this.#fresh.length > 0);
    return requestNumber;
  }

  #joinFresh(client: string, requestNumber: bigint, sizeBytes: number, priority: Priority | undefined): void {
    if (this.#fresh.length === 0) this.#meter.waits(this.#nowMs());
    this.#fresh.push(client, requestNumber, sizeBytes, priority);
  }

  /** Adds an upload at the end, unless it stands in line or is under way. */
  join(record: UploadRecord): void {
    const { client, requestNumber, description, persistedBytes } = record;
    const { sizeBytes = persistedBytes, priority } = description;
    this.#add(record, () => this.#joinFresh(client, requestNumber, sizeBytes, priority));
  }

  /** Adds an upload ahead of those never tried. */
  rejoin(record: UploadRecord): void {
    this.#add(record, () => this.#returned.push(record.requestNumber), true);
  }

  /** Adds an upload at the end that only the ledger knows. */
  joinUnread(client: string, requestNumber: bigint, sizeBytes: number, priority: Priority | undefined): void {
    this.#joinFresh(client, requestNumber, sizeBytes, priority);
  }

  /** Takes an upload back that was under way, ahead of those never tried. */
  comeBack(record: UploadRecord, delayMs: number): void {
    if (delayMs > 0) {
      this.putBack(record.requestNumber, delayMs);
      return;
    }
    record.offered = false;
    this.rejoin(record);
  }

  /** Takes back an upload whose number has come out, after a pause. It may be known to the ledger alone meanwhile. */
  putBack(requestNumber: bigint, delayMs: number): void {
    const timer = setTimeout(() => {
      this.#resting.delete(requestNumber);
      if (!this.claims.wait(requestNumber, true)) this.#returned.push(requestNumber);
      this.onReady();
    }, delayMs);
    this.#resting.set(requestNumber, timer);
  }

  stop(): void {
    clearTimeout(this.#held);
    for (const timer of this.#resting.values()) clearTimeout(timer);
    this.#resting.clear();
  }

  #add(record: UploadRecord, push: () => void, returned = false): void {
    if (record.offered) return;
    record.offered = true;
    if (!this.claims.wait(record.requestNumber, returned)) push();
    this.onReady();
  }
}
