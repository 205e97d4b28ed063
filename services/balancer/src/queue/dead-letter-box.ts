import { crc32c } from "@node-rs/crc32";
import { BilanciaError } from "../domain/errors.js";
import type { ContentReader } from "../ports/content.js";
import type { DeadLetter, DeadLetters } from "../ports/dead-letters.js";
import { isDeadLetter, keptState, type LedgerEntry } from "./ledger-entry.js";
import type { QueueWorks } from "./queue-parts.js";
import { SpoolFile } from "./spool-file.js";
import { UploadContent } from "./upload-content.js";
import type { UploadRecord } from "./upload-record.js";

/** The dead letters: what was given up and is still here, with all its bytes. The ledger has them. */
export class DeadLetterBox implements DeadLetters {
  readonly #works: QueueWorks;

  constructor(works: QueueWorks) {
    this.#works = works;
  }

  async list(after: bigint, limit: number): Promise<readonly DeadLetter[]> {
    await this.#works.settlement.settled();
    return this.#works.parts.ledger.deadLetters(after, limit).map(toLetter);
  }

  async find(requestNumber: bigint): Promise<DeadLetter> {
    await this.#works.settlement.settled();
    return toLetter(this.#entry(requestNumber));
  }

  async retry(requestNumber: bigint): Promise<void> {
    const { uploads, line, settlement } = this.#works;
    await settlement.settled();
    const entry = this.#entry(requestNumber);
    const record = uploads.records.byNumber(requestNumber) ?? uploads.load(entry);
    if (!record.complete) {
      uploads.evict(record);
      const message = `only ${record.content.receivedBytes} of ${entry.receivedBytes} bytes are left on disk`;
      throw new BilanciaError("NOT_A_DEAD_LETTER", `the upload cannot be tried again: ${message}`);
    }
    const { attemptCount } = record;
    await this.revive(record);
    // Where many are waiting, the ledger alone knows the rest of them, as with new uploads.
    if (record.final || record.taken || record.attemptCount !== attemptCount || !line.long) return;
    await uploads.letGo(record);
  }

  async discard(requestNumber: bigint): Promise<void> {
    const { parts, uploads, settlement } = this.#works;
    await settlement.settled();
    const entry = this.#entry(requestNumber);
    const record = uploads.records.byNumber(requestNumber) ?? uploads.load(entry);
    uploads.change(record, { kind: "discarded" });
    record.bytesAt = "nowhere";
    record.touchedAtMs = parts.clock.nowMs();
    try {
      await parts.ledger.put({ ...record.toEntry(), complete: true, receivedBytes: entry.receivedBytes });
      parts.observer.note({ kind: "dead-letter", upload: record.naming, action: "discarded" });
      await record.content.drop();
    } finally {
      // Where the ledger could not have it, it is a dead letter still, with its bytes.
      await uploads.letGo(record);
    }
  }

  /** Puts a dead letter that has been loaded back in line. The promise is of its being durable. */
  revive(record: UploadRecord): Promise<void> | undefined {
    const { parts, uploads, line } = this.#works;
    uploads.change(record, { kind: "revived" });
    uploads.records.unfinish(record);
    record.failures = 0;
    record.revivedAtMs = parts.clock.nowMs();
    record.touchedAtMs = record.revivedAtMs;
    uploads.counters.addBytes(record.content.receivedBytes);
    parts.observer.note({ kind: "dead-letter", upload: record.naming, action: "revived" });
    const recorded = uploads.keep(record);
    line.join(record);
    return recorded;
  }

  async read(requestNumber: bigint): Promise<{ readonly letter: DeadLetter; readonly content: ContentReader }> {
    await this.#works.settlement.settled();
    const entry = this.#entry(requestNumber);
    const letter = toLetter(entry);
    if (entry.bytesAt === "file") return { letter, content: this.#fileReader(entry) };
    const bytes = this.#works.parts.ledger.bytes(requestNumber);
    if (bytes?.length !== entry.receivedBytes) throw this.#damaged(entry, bytes?.length ?? 0);
    // A copy: the ledger's own memory is used again.
    return { letter, content: bytesReader(Uint8Array.from(bytes)) };
  }

  /** Reads through a content of its own: what else happens to the upload neither waits for this one nor ends it. */
  #fileReader(entry: LedgerEntry): ContentReader {
    const { requestNumber, receivedBytes, finishSha256 } = entry;
    const { spool } = this.#works.parts;
    const onDamage = (error: unknown) => this.#damage(error);
    const left = SpoolFile.piecesAt(spool.pathOf(requestNumber));
    const content = new UploadContent(spool, requestNumber, onDamage, left);
    if (content.receivedBytes !== receivedBytes) throw this.#damaged(entry, content.receivedBytes);
    content.finish(finishSha256);
    const reader = content.read();
    return {
      next: () => reader.next(),
      close: () => {
        reader.close();
        content.release().catch(onDamage);
      },
    };
  }

  #damaged({ requestNumber, receivedBytes }: LedgerEntry, leftBytes: number): BilanciaError {
    const problem = `${leftBytes} of the ${receivedBytes} bytes of upload ${requestNumber} are left`;
    this.#damage(new Error(problem));
    return new BilanciaError("INTERNAL", problem);
  }

  #damage(error: unknown): void {
    this.#works.parts.observer.note({ kind: "fault", where: "reading a dead letter", error });
  }

  /**
   * A dead letter, as it is now. Whoever changes it does so at once: another may be asked for the same one meanwhile.
   *
   * @throws BilanciaError
   */
  #entry(requestNumber: bigint): LedgerEntry {
    const entry = this.#works.uploads.entry(requestNumber);
    if (!entry) throw new BilanciaError("UNKNOWN_UPLOAD", `no upload has the number ${requestNumber}`);
    if (!isDeadLetter(entry)) {
      const expected = `expected a dead letter; upload ${requestNumber} is ${describe(entry)}`;
      throw new BilanciaError("NOT_A_DEAD_LETTER", expected);
    }
    return entry;
  }
}

function bytesReader(data: Uint8Array): ContentReader {
  let given = data.length === 0;
  return {
    next: () => {
      if (given) return { kind: "end", sizeBytes: data.length };
      given = true;
      return { kind: "chunk", chunk: { offset: 0, data, crc32c: crc32c(data) } };
    },
    close: () => {},
  };
}

function describe(entry: LedgerEntry): string {
  const state = keptState(entry, entry.complete);
  switch (state.kind) {
    case "dead":
      return `dead (${state.rejection.reason}: ${state.rejection.message}), and its bytes are not kept`;
    case "stored":
      return `stored on ${state.receipt.server}`;
    default:
      return state.kind;
  }
}

function toLetter(entry: LedgerEntry): DeadLetter {
  const { requestNumber, description, client, receivedAtMs, touchedAtMs, rejection, attemptCount, attempts } = entry;
  return {
    requestNumber,
    description,
    client,
    sizeBytes: entry.receivedBytes,
    sha256: entry.finishSha256 ?? description.sha256,
    receivedAtMs,
    givenUpAtMs: touchedAtMs,
    rejection: rejection ?? { reason: "INTERNAL", message: "the reason is not known" },
    attemptCount,
    attempts,
  };
}
