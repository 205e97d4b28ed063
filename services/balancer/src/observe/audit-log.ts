import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type AuditFacts, type ChainHead, sealEntry } from "@bilancia/proto/audit-chain";
import { makeFolder } from "@bilancia/proto/folder";
import type { Occurrence } from "../domain/occurrence.js";
import type { Clock } from "../ports/clock.js";
import type { Observer } from "../ports/observer.js";
import { toAuditFacts } from "./audit-entry.js";
import { AuditFile, type AuditSink } from "./audit-file.js";
import { mendTail } from "./audit-tail.js";

/** When a file of the audit is full. */
export interface AuditRotation {
  /** It has at least so many bytes. */
  readonly maxFileBytes: number;
  /** The day is over, by UTC. */
  readonly daily: boolean;
}

/** What the audit works with. */
export interface AuditParts {
  readonly sink: AuditSink;
  /** The entry to go on behind. */
  readonly head: ChainHead;
  readonly clock: Clock;
  /** Told when the disk fails. */
  readonly faults: Observer;
  /** Entries that wait in memory at most; what comes on top is lost, and counted. */
  readonly maxWaiting?: number;
  /** Default: never full. */
  readonly rotation?: AuditRotation;
  /** When the last entry was made. Default: there is none. */
  readonly lastTimeMs?: number | undefined;
}

const neverFull: AuditRotation = { maxFileBytes: Number.POSITIVE_INFINITY, daily: false };

/** How often the file is flushed: after a loss of power, at most this much of the audit is missing at its end. */
const flushIntervalMs = 1_000;

/**
 * How long entries are gathered for one write: a process that is killed loses as much. A write for each turn of the event loop costs a busy balancer an eighth of its
 * processor time, this one a hundredth.
 */
const gatherMs = 20;

/** Entries in one write, so that sealing them does not hold up the event loop. */
const maxBatch = 256;

/**
 * The audit: one line for each thing that happened to a file, each sealed to the one before. What is noted waits in memory for some milliseconds, or
 * for the write under way; then all of it goes out in one write. Nobody waits for the audit. A failing disk is told as a fault, and tried again with each flush.
 */
export class AuditLog implements Observer {
  readonly #sink: AuditSink;
  readonly #clock: Clock;
  readonly #faults: Observer;
  readonly #maxWaiting: number;
  readonly #rotation: AuditRotation;
  readonly #flushing: NodeJS.Timeout;
  readonly #waiting: AuditFacts[] = [];
  #head: ChainHead;
  #lastTimeMs: number | undefined;
  #lost = 0;
  #writing: Promise<void> | undefined;
  #failing = false;
  #unflushed = false;

  constructor({ sink, head, clock, faults, maxWaiting = 100_000, rotation = neverFull, lastTimeMs }: AuditParts) {
    this.#sink = sink;
    this.#head = head;
    this.#clock = clock;
    this.#faults = faults;
    this.#maxWaiting = maxWaiting;
    this.#rotation = rotation;
    this.#lastTimeMs = lastTimeMs;
    this.#flushing = setInterval(() => void this.flush(), flushIntervalMs).unref();
  }

  /**
   * Opens the audit of a file, behind its last whole entry. What a crash tore is put aside, and an entry says so.
   *
   * @throws Error when the file cannot be opened
   */
  static async open(file: string, clock: Clock, faults: Observer, rotation = neverFull): Promise<AuditLog> {
    await makeFolder(path.dirname(file));
    const { head, lastTimeMs, lengthBytes, aside } = await mendTail(file);
    const sink = await AuditFile.open(file, lengthBytes);
    const audit = new AuditLog({ sink, head, clock, faults, rotation, lastTimeMs });
    if (aside) {
      const name = path.basename(aside.file);
      const message = aside.whole
        ? `a file of ${aside.bytes} bytes without any entry was put aside in ${name}`
        : `${aside.bytes} bytes behind the last whole entry were put aside in ${name}`;
      audit.#add({ timeMs: clock.nowMs(), kind: aside.whole ? "begun-anew" : "torn", message });
      faults.note({ kind: "quarantined", what: "end of the audit", detail: message });
    }
    return audit;
  }

  note(occurrence: Occurrence): void {
    const facts = toAuditFacts(occurrence, this.#clock.nowMs());
    if (facts) this.#add(facts);
  }

  /** Writes what waits, and makes it durable. Never rejects: what fails is told as a fault, and tried again with the next flush. */
  async flush(): Promise<void> {
    this.#tellLost();
    this.#writing ??= this.#write();
    await this.#writing;
    if (!this.#unflushed) return;
    this.#unflushed = false;
    try {
      await this.#sink.flush();
    } catch (error) {
      this.#unflushed = true;
      this.#fault("flushing the audit", error);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#flushing);
    await this.flush();
    // There is room now to tell what was lost.
    if (this.#lost > 0) await this.flush();
    const left = this.#waiting.length + this.#lost;
    if (left > 0) this.#fault("closing the audit", new Error(`${left} entries could not be written`));
    await this.#sink.close().catch((error: unknown) => this.#fault("closing the audit", error));
  }

  #add(facts: AuditFacts): void {
    this.#tellLost();
    if (this.#waiting.length >= this.#maxWaiting) {
      this.#lost += 1;
      return;
    }
    this.#waiting.push(facts);
    // A disk that fails is tried again with the next flush, not with each entry.
    if (!this.#failing) this.#writing ??= this.#write();
  }

  /** Says in the audit itself how many entries are gone, as soon as there is room for that. */
  #tellLost(): void {
    if (this.#lost === 0 || this.#waiting.length >= this.#maxWaiting) return;
    this.#waiting.push({ timeMs: this.#clock.nowMs(), kind: "lost", message: `${this.#lost} entries` });
    this.#lost = 0;
  }

  async #write(): Promise<void> {
    await delay(gatherMs);
    while (this.#waiting.length > 0) {
      await this.#rotateIfFull(this.#waiting[0]?.timeMs);
      const batch = this.#waiting.slice(0, maxBatch);
      let head = this.#head;
      let lines = "";
      for (const facts of batch) {
        const sealed = sealEntry(facts, head);
        head = sealed.head;
        lines += `${sealed.line}\n`;
      }
      try {
        await this.#sink.append(Buffer.from(lines));
      } catch (error) {
        if (!this.#failing) this.#fault("writing the audit", error);
        this.#failing = true;
        break;
      }
      this.#failing = false;
      this.#head = head;
      this.#lastTimeMs = batch.at(-1)?.timeMs;
      this.#waiting.splice(0, batch.length);
      this.#unflushed = true;
    }
    // At once, not in a later turn: who adds next must find that nobody writes.
    this.#writing = undefined;
  }

  /** Begins a new file where the one before is full, or the next entry is of another day than its last one. */
  async #rotateIfFull(nextTimeMs: number | undefined): Promise<void> {
    if (this.#failing || this.#sink.lengthBytes === 0) return;
    const { maxFileBytes, daily } = this.#rotation;
    const otherDay = daily && this.#lastTimeMs !== undefined && dayOf(nextTimeMs ?? 0) !== dayOf(this.#lastTimeMs);
    if (this.#sink.lengthBytes < maxFileBytes && !otherDay) return;
    try {
      await this.#sink.rotate(this.#head.seq);
    } catch (error) {
      this.#fault("beginning a new file of the audit", error);
    }
  }

  #fault(where: string, error: unknown): void {
    this.#faults.note({ kind: "fault", where, error });
  }
}

function dayOf(timeMs: number): number {
  return Math.floor(timeMs / 86_400_000);
}
