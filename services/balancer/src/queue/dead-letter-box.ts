import { crc32c } from "@node-rs/crc32";
import { BilanciaError } from "../domain/errors.js";
import type { ContentReader, DeadLetter, DeadLetters } from "../ports.js";
import type { Ledger } from "./ledger.js";
import { isDeadLetter, keptState, type LedgerEntry } from "./ledger-entry.js";
import type { Spool } from "./spool.js";
import { SpoolFile } from "./spool-file.js";
import { UploadContent } from "./upload-content.js";

/** What the dead letters need of their queue. */
interface DeadLetterHost {
  readonly ledger: Ledger;
  readonly spool: Spool;
  /** Resolves when everything that was given up before has been written down. */
  settled(): Promise<void>;
  /** The latest entry of an upload. */
  find(requestNumber: bigint): LedgerEntry | undefined;
  revive(entry: LedgerEntry): Promise<void>;
  discard(entry: LedgerEntry): Promise<void>;
  /** Told of bytes that cannot be read. */
  readonly onDamage: (error: unknown) => void;
}

/** The dead letters as the ledger has them. What is done to them is the queue's work. */
export class DeadLetterBox implements DeadLetters {
  readonly #host: DeadLetterHost;

  constructor(host: DeadLetterHost) {
    this.#host = host;
  }

  async list(after: bigint, limit: number): Promise<readonly DeadLetter[]> {
    await this.#host.settled();
    return this.#host.ledger.deadLetters(after, limit).map(toLetter);
  }

  async find(requestNumber: bigint): Promise<DeadLetter> {
    return toLetter(await this.#entry(requestNumber));
  }

  async retry(requestNumber: bigint): Promise<void> {
    await this.#host.revive(await this.#entry(requestNumber));
  }

  async discard(requestNumber: bigint): Promise<void> {
    await this.#host.discard(await this.#entry(requestNumber));
  }

  async read(requestNumber: bigint): Promise<{ readonly letter: DeadLetter; readonly content: ContentReader }> {
    const entry = await this.#entry(requestNumber);
    const letter = toLetter(entry);
    if (entry.bytesAt === "file") return { letter, content: this.#fileReader(entry) };
    const bytes = this.#host.ledger.bytes(requestNumber);
    if (bytes?.length !== entry.receivedBytes) throw this.#damaged(entry, bytes?.length ?? 0);
    // A copy: the ledger's own memory is used again.
    return { letter, content: bytesReader(Uint8Array.from(bytes)) };
  }

  /** Reads through a content of its own: what else happens to the upload neither waits for this one nor ends it. */
  #fileReader(entry: LedgerEntry): ContentReader {
    const { requestNumber, receivedBytes, finishSha256 } = entry;
    const { spool, onDamage } = this.#host;
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
    this.#host.onDamage(new Error(problem));
    return new BilanciaError("INTERNAL", problem);
  }

  /** @throws BilanciaError */
  async #entry(requestNumber: bigint): Promise<LedgerEntry> {
    await this.#host.settled();
    const entry = this.#host.find(requestNumber);
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
