import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import {
  type DiscardResponse,
  Holding,
  holdingToJSON,
  type LoadResponse,
  type SaveHeader,
  type SaveSaved,
  type StatResponse,
} from "@bilancia/proto/gen/storage";
import { StorageClient } from "@bilancia/proto/services";
import { fromDuration } from "@bilancia/proto/time";
import { callUnary } from "@bilancia/proto/unary";
import { expectContent, Probe, type ProbeOptions } from "../probe.js";
import { expectEqual, NotImplemented, Violation } from "../violation.js";
import { type Attempt, SaveFile } from "./save-file.js";
import { type Outcome, SaveSession } from "./save-session.js";

/** How many files are removed at once at the end. */
const cleaningCount = 32;

/**
 * What one check of a storage server works with: an origin that no other check uses, and the calls of the contract. Closing it removes from the
 * server what was sent to it, where the server can do that.
 */
export class StorageProbe extends Probe {
  /** 32 hexadecimal digits, of this check alone. */
  readonly origin = randomBytes(16).toString("hex");
  readonly storage: StorageClient;
  readonly #files: SaveFile[] = [];
  #lastNumber = 0n;

  constructor(options: ProbeOptions) {
    super(options);
    this.storage = this.connect(options.address);
  }

  connect(address: string): StorageClient {
    return this.client(StorageClient, address);
  }

  /** A new file, under the next request number. Its bytes are drawn from the seed where a length is given. */
  file(content: number | Buffer, fields: Partial<SaveHeader> = {}): SaveFile {
    const requestNumber = fields.requestNumber ?? ++this.#lastNumber;
    const file = new SaveFile(this.origin, requestNumber, this.contentOf(content), fields);
    this.#files.push(file);
    return file;
  }

  /** Opens a `Save` stream; it is broken off with the probe where it has not ended by then. */
  open(client = this.storage): SaveSession {
    return this.keep(new SaveSession(client, this.timeoutMs));
  }

  /** Sends a file on a stream of its own, as one part or in parts; tries again while the server is busy. The final answer. */
  async deliver(file: SaveFile): Promise<Outcome> {
    for (const untilMs = Date.now() + this.options.patienceMs; ; ) {
      const session = this.open();
      if (file.data.length <= 65_536) await session.send(file.whole());
      else await session.sendParts(file.parts(), file.requestNumber);
      const outcome = await session.final(file.requestNumber);
      await session.close();
      if (outcome.$case !== "busy") return outcome;
      if (Date.now() > untilMs) throw new Violation(`the server was busy for ${this.options.patienceMs / 1000} s`);
      const { retryAfter } = outcome.value;
      await delay(retryAfter ? Math.min(fromDuration(retryAfter), 1_000) : 200);
    }
  }

  /** Sends a file, which must be stored now, or have been stored before. @throws Violation */
  async store(file: SaveFile, duplicate = false): Promise<SaveSaved> {
    const outcome = await this.deliver(file);
    if (outcome.$case !== "saved") throw new Violation(`the file was answered with ${JSON.stringify(plain(outcome))}`);
    expectReceipt(outcome.value, file, duplicate);
    return outcome.value;
  }

  override async storeSample(sizeBytes: number, partBytes?: number): Promise<void> {
    const file = this.file(sizeBytes);
    const session = this.open();
    if (partBytes === undefined) await session.send(file.whole());
    else await session.sendParts(file.parts(partBytes), file.requestNumber);
    await this.storedOn(session, file);
    await session.close();
  }

  /** A file sent on a stream must be stored, at once or, where the server was busy, when it is sent again. @throws Violation */
  async storedOn(session: SaveSession, file: SaveFile): Promise<SaveSaved> {
    if ((await session.final(file.requestNumber)).$case === "busy") return this.store(file);
    const saved = await session.saved(file.requestNumber);
    expectReceipt(saved, file, false);
    return saved;
  }

  /** What `Load` answers. */
  load(): Promise<LoadResponse> {
    return callUnary<object, LoadResponse>(this.storage.load.bind(this.storage), {}, this.timeoutMs);
  }

  override async roundTrip(): Promise<void> {
    await this.load();
  }

  /** @throws NotImplemented */
  stat({ header: { origin, requestNumber } }: SaveFile): Promise<StatResponse> {
    const { storage } = this;
    return this.optional(
      "Storage/Stat",
      callUnary(storage.stat.bind(storage), { origin, requestNumber }, this.timeoutMs),
    );
  }

  /** What `Stat` says must be so, where the server has it; without it nothing is asked. @throws Violation */
  async expectHolding(file: SaveFile, ...expected: Holding[]): Promise<void> {
    const answer = await this.stat(file).catch((error: unknown) => {
      if (error instanceof NotImplemented) return undefined;
      throw error;
    });
    if (!answer || expected.includes(answer.holding)) return;
    throw new Violation(
      `Stat answers ${holdingToJSON(answer.holding)}; expected ${expected.map(holdingToJSON).join(" or ")}`,
    );
  }

  /** @throws NotImplemented */
  discard(file: SaveFile, fence: Attempt = file.header): Promise<DiscardResponse> {
    const { origin, requestNumber, uploadId } = file.header;
    const { term, attempt } = fence;
    const request = { origin, requestNumber, uploadId, term, attempt };
    const { storage } = this;
    return this.optional("Storage/Discard", callUnary(storage.discard.bind(storage), request, this.timeoutMs));
  }

  /** Removes what was sent, where the server has `Discard`, and closes the connections. */
  override async close(): Promise<void> {
    this.breakOff();
    for (let at = 0; at < this.#files.length; at += cleaningCount) {
      const files = this.#files.slice(at, at + cleaningCount);
      const removed = await Promise.allSettled(files.map((file) => this.discard(file, cleaningFence)));
      if (removed.some((end) => end.status === "rejected" && end.reason instanceof NotImplemented)) break;
    }
    await super.close();
  }

  protected override async serves(): Promise<boolean> {
    return (await this.check("")) === "SERVING" && super.serves();
  }
}

/** Above every attempt that a check makes. */
const cleaningFence: Attempt = { term: 1_000_000n, attempt: 1 };

/** What a server says of a stored file must be true. @throws Violation */
export function expectReceipt(
  saved: Pick<SaveSaved, "sizeBytes" | "sha256"> & { readonly duplicate?: boolean },
  file: SaveFile,
  duplicate?: boolean,
): void {
  expectContent(saved, file);
  if (duplicate !== undefined) expectEqual(saved.duplicate, duplicate, "duplicate");
}

/** An answer as JSON can hold it. */
function plain(outcome: Outcome): object {
  return outcome.$case === "refused" ? { refused: outcome.value.message } : { [outcome.$case]: {} };
}

/** Nothing is held under a number, or it is on its way still. */
export const notStored = [Holding.HOLDING_NONE, Holding.HOLDING_RECEIVING] as const;
