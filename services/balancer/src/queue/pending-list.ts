import { type ClaimFacts, type ClaimVerdict, claimVerdict, lastFailureOn } from "../domain/claim.js";
import type { UploadState } from "../domain/upload.js";
import type { PendingQuery, PendingUpload, PendingUploads } from "../ports/pending-uploads.js";
import { type LedgerEntry, viewOf } from "./ledger-entry.js";
import type { QueueWorks } from "./queue-parts.js";
import { UploadRecord } from "./upload-record.js";

/** Ledger entries that one page looks at, at most. */
const maxScanned = 10_000;

/** What waits, from memory and from the ledger. Neither is copied: a page costs memory for itself alone. */
export class PendingList implements PendingUploads {
  readonly #works: QueueWorks;

  constructor(works: QueueWorks) {
    this.#works = works;
  }

  get claimMs(): number {
    return this.#works.parts.claimMs;
  }

  list(query: PendingQuery): { uploads: readonly PendingUpload[]; next: bigint | undefined } {
    const { limit, failedHere } = query;
    const hot = this.#fromMemory(query);
    // Whatever has failed and still waits is in memory.
    const kept = failedHere ? { uploads: [], seenTo: undefined } : this.#fromLedger(query);
    const { seenTo } = kept;
    const merged = [...hot, ...kept.uploads]
      .filter(({ requestNumber }) => seenTo === undefined || requestNumber <= seenTo)
      .sort((a, b) => (a.requestNumber < b.requestNumber ? -1 : 1));
    const uploads = merged.slice(0, limit);
    // A full page may have been the last one; the next one is empty then.
    return { uploads, next: uploads.length === limit ? uploads.at(-1)?.requestNumber : seenTo };
  }

  claim(server: string, requestNumber: bigint, isReachable: (server: string) => boolean): ClaimVerdict {
    const { uploads, line, parts } = this.#works;
    const upload = uploads.records.byNumber(requestNumber) ?? parts.ledger.find({ requestNumber });
    const facts = upload && this.#facts(upload);
    const verdict = claimVerdict(server, facts, isReachable, line.claims.hasRoom(server));
    if (upload && verdict.kind === "claimed") {
      const { uploadId, name } = upload.description;
      line.claim({ requestNumber, uploadId, name }, server, parts.clock.nowMs() + parts.claimMs);
    }
    return verdict;
  }

  #facts(upload: UploadRecord | LedgerEntry): ClaimFacts {
    const { requestNumber, attempts } = upload;
    const claimedBy = this.#works.line.claims.by(requestNumber);
    return { state: stateOf(upload), attempts, suspects: suspectsOf(upload), claimedBy };
  }

  /** The first ones in memory, in no order. */
  #fromMemory({ server, failedHere, after, limit }: PendingQuery): PendingUpload[] {
    const first = new Smallest(limit);
    for (const record of this.#works.uploads.records.unfinished) {
      if (record.requestNumber <= after || !isPending(record)) continue;
      if (failedHere && !failureOn(server, record)) continue;
      first.add(record);
    }
    return first.records.map((record) => this.#toPending(server, record, record.content.receivedBytes));
  }

  /** The first ones that the ledger alone knows. `seenTo`: where the look was broken off. */
  #fromLedger({ server, after, limit }: PendingQuery): { uploads: PendingUpload[]; seenTo: bigint | undefined } {
    const { ledger } = this.#works.parts;
    const { records } = this.#works.uploads;
    const uploads: PendingUpload[] = [];
    let scanned = 0;
    for (const { requestNumber, state } of ledger.openAfter(after)) {
      scanned += 1;
      // Everything but what is merely queued is in memory, or has ended.
      if (state === "queued" && !records.byNumber(requestNumber)) {
        const entry = ledger.find({ requestNumber });
        if (entry?.complete) uploads.push(this.#toPending(server, entry, entry.receivedBytes));
      }
      if (uploads.length === limit || scanned === maxScanned) return { uploads, seenTo: requestNumber };
    }
    return { uploads, seenTo: undefined };
  }

  #toPending(server: string, upload: UploadRecord | LedgerEntry, sizeBytes: number): PendingUpload {
    const { requestNumber, description, receivedAtMs, attemptCount } = upload;
    const claimedBy = this.#works.line.claims.by(requestNumber);
    return {
      requestNumber,
      description,
      sizeBytes,
      receivedAtMs,
      attemptCount,
      failedHere: failureOn(server, upload),
      claimedBy,
    };
  }
}

/** Whether an upload stands in line. It does not while all its bytes are there, but not yet safe. */
function isPending({ state, safe, offered }: UploadRecord): boolean {
  return state.kind === "queued" && (safe || offered);
}

/** What it is to whoever wants to claim it. */
function stateOf(upload: UploadRecord | LedgerEntry): UploadState {
  if (!(upload instanceof UploadRecord)) return viewOf(upload).state;
  return upload.state.kind === "queued" && !isPending(upload) ? { kind: "receiving" } : upload.state;
}

function suspectsOf({ intents }: UploadRecord | LedgerEntry): string[] {
  return intents.map(({ server }) => server);
}

function failureOn(server: string, upload: UploadRecord | LedgerEntry) {
  // What failed before it was revived has been forgotten.
  return lastFailureOn(server, upload.attempts, upload.revivedAtMs ?? 0);
}

/** Keeps the records with the smallest numbers among those added, at most `limit`. */
class Smallest {
  readonly records: UploadRecord[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(record: UploadRecord): void {
    const { records } = this;
    const last = records.at(-1);
    if (records.length === this.#limit) {
      if (last && record.requestNumber > last.requestNumber) return;
      records.pop();
    }
    // Numbers come nearly in order, so that the place is nearly always at the end.
    let at = records.length;
    while (at > 0 && (records[at - 1]?.requestNumber ?? 0n) > record.requestNumber) at -= 1;
    records.splice(at, 0, record);
  }
}
