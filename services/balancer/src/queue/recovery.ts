import { sameBytes } from "../domain/upload.js";
import type { FoundFile, Outbox, Rest, Suspicion } from "../ports/outbox.js";
import { hasEnded, type Intent, type LedgerEntry, markOf } from "./ledger-entry.js";
import { inBackground, type QueueWorks } from "./queue-parts.js";
import { SpoolFile } from "./spool-file.js";
import type { UploadRecord } from "./upload-record.js";

/**
 * What a start does with each record that the last run has left, and what follows from it later:
 *
 * - queued: goes on, in the order of numbers;
 * - with a server, bytes here: tried there again first, ahead of the queued ones;
 * - with a server, bytes gone: the server is asked, and what it holds is taken for the outcome (`found`); until then it is left open, however long that takes;
 * - arriving: can be resumed;
 * - at rest, while another server may hold a copy: that server is asked (`suspicions`), until it is known (`cleared`);
 * - an entry that cannot be read, and a spool file that nobody knows: put aside and reported.
 */
export class Recovery implements Pick<Outbox, "suspicions" | "found" | "cleared"> {
  readonly #works: QueueWorks;
  readonly #suspicions: Suspicion[] = [];
  /** Uploads that have been reported as unsettled. */
  readonly #unsettled = new Set<bigint>();

  constructor(works: QueueWorks) {
    this.#works = works;
  }

  /** To be called once, before anything else happens in the queue. */
  async run(): Promise<void> {
    const { parts, uploads, line } = this.#works;
    const { ledger, observer, numbering } = parts;
    for (const detail of numbering.problems) observer.note({ kind: "quarantined", what: "numbering", detail });
    const { last } = numbering;
    if (await numbering.skipTo(ledger.lastNumber)) {
      const detail = `numbers were reserved up to ${last}, but the ledger has uploads up to ${ledger.lastNumber}; it goes on after these`;
      observer.note({ kind: "quarantined", what: "numbering", detail });
    }
    let queued = 0;
    for await (const page of ledger.open()) {
      for (const { requestNumber, state, bytes, clientMark, priority } of page) {
        if (state === "queued") {
          queued += 1;
          uploads.counters.enter("queued");
          uploads.counters.addBytes(bytes);
          line.joinUnread(`client ${clientMark} of an earlier run`, requestNumber, bytes, priority);
        } else this.#resume(requestNumber);
      }
    }
    if (queued > 0) observer.note({ kind: "recovered", what: "queued", files: queued });
    await this.#clearSpool();
  }

  suspicions(): readonly Suspicion[] {
    return this.#suspicions;
  }

  found(requestNumber: bigint, server: string, { saved, storedBy }: FoundFile): ReturnType<Outbox["found"]> {
    const { parts, uploads, settlement } = this.#works;
    const record = uploads.find({ requestNumber });
    // Its client may have come back and be sending it again.
    if (!record || record.final || record.complete || record.sender) return "sent again";
    const { sizeBytes = saved.sizeBytes, sha256 = saved.sha256 } = record.description;
    if (sizeBytes !== saved.sizeBytes || !sameBytes(record.finishSha256 ?? sha256, saved.sha256)) return "wrong";
    parts.observer.note({ kind: "found", upload: record.naming, server });
    settlement.saved(record, { ...record.receipt(saved, parts.clock.nowMs()), server }, storedBy);
    return "taken";
  }

  cleared(requestNumber: bigint, server: string, upToAttempt: number): void {
    const { parts, uploads } = this.#works;
    const { ledger, observer } = parts;
    const open = (intent: Intent) => intent.server !== server || intent.attempt > upToAttempt;
    const hot = uploads.records.byNumber(requestNumber);
    if (hot) hot.intents = hot.intents.filter(open);
    const entry = uploads.entry(requestNumber);
    if (!entry) return;
    const recorded = ledger.amend({ ...entry, intents: entry.intents.filter(open) });
    inBackground(observer, "recording where an upload is", recorded);
  }

  /**
   * Whether an unfinished upload must not expire: a server may hold it, and its client may have been told so. It stays until that server has been asked, its client
   * sends it again, or it is cancelled. Reported once.
   */
  leavesOpen(record: UploadRecord): boolean {
    if (record.intents.length === 0) return false;
    if (!this.#unsettled.has(record.requestNumber)) {
      this.#unsettled.add(record.requestNumber);
      const servers = [...new Set(record.intents.map(({ server }) => server))];
      this.#works.parts.observer.note({ kind: "unsettled", upload: record.naming, servers });
    }
    return true;
  }

  #resume(requestNumber: bigint): void {
    const { ledger } = this.#works.parts;
    const entry = ledger.find({ requestNumber });
    if (!entry) ledger.strike(requestNumber);
    else if (hasEnded(entry)) this.#suspect(entry, { rests: this.#restOf(entry) });
    else this.#takeUp(entry);
  }

  #restOf(entry: LedgerEntry): Rest {
    const { attemptCount, receipt } = entry;
    const lastTerm = this.#works.parts.numbering.term - 1;
    return { server: receipt?.server, mark: entry.mark ?? markOf(lastTerm, attemptCount, receipt !== undefined) };
  }

  #suspect(entry: LedgerEntry, facts: Pick<Suspicion, "bytesGone" | "rests">): void {
    const { requestNumber, description } = entry;
    const { uploadId } = description;
    for (const intent of entry.intents) this.#suspicions.push({ requestNumber, uploadId, ...intent, ...facts });
  }

  #takeUp(entry: LedgerEntry): void {
    const { parts, uploads, line } = this.#works;
    const record = uploads.load(entry, false);
    record.endAttempt("lost", "the balancer was restarted");
    uploads.counters.enter(record.state.kind);
    uploads.counters.addBytes(record.content.receivedBytes);
    this.#suspect(entry, { bytesGone: !record.complete });
    const what = record.complete ? "dispatching" : "receiving";
    parts.observer.note({ kind: "recovered", what, upload: record.naming, files: 1 });
    if (record.complete) line.rejoin(record);
  }

  /** Removes spool files of uploads that have ended, and puts aside those that nobody knows. */
  async #clearSpool(): Promise<void> {
    const { ledger, spool, observer } = this.#works.parts;
    for (const requestNumber of await spool.numbers()) {
      const entry = ledger.find({ requestNumber });
      if (entry?.bytesAt === "file") continue;
      if (entry) {
        await new SpoolFile(spool.pathOf(requestNumber)).remove();
        continue;
      }
      await spool.putAside(requestNumber);
      const detail = `spool file ${requestNumber} belongs to no upload that the ledger knows`;
      observer.note({ kind: "quarantined", what: "spool file", detail });
    }
  }
}
