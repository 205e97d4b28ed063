import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { channelOptions } from "@bilancia/proto/channel-options";
import {
  type DiscardResponse,
  Holding,
  holdingToJSON,
  type LoadResponse,
  type SaveHeader,
  type SaveSaved,
  type StatResponse,
} from "@bilancia/proto/gen/storage";
import { HealthClient } from "@bilancia/proto/health";
import { StorageClient } from "@bilancia/proto/services";
import { fromDuration } from "@bilancia/proto/time";
import { callUnary } from "@bilancia/proto/unary";
import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import { type Attempt, SampleFile, sampleBytes } from "./sample-file.js";
import { type Outcome, SaveSession } from "./save-session.js";
import { expectEqual, NotImplemented, Violation } from "./violation.js";

/** How a server is to be tried. */
export interface ProbeOptions {
  /** `host:port` of the server. */
  readonly address: string;
  /** How long an answer may take, in milliseconds. */
  readonly timeoutMs: number;
  /** How long a server may be busy, take to serve again after a restart, and to change its overload bit, in milliseconds. */
  readonly patienceMs: number;
  /** Seed of what is chosen by chance: contents, and where streams are cut. */
  readonly seed: number;
  /** Kills the server and starts it again; resolves once that has been done. */
  readonly restart?: (() => Promise<void>) | undefined;
  /** From how many files in progress on the server says that it is overloaded. */
  readonly overloadFiles?: number | undefined;
  /** From how many files in progress on the server answers `busy`. */
  readonly busyFiles?: number | undefined;
}

/** Between two looks at something that is waited for, in milliseconds. */
const pollMs = 50;
/** How many files are removed at once at the end. */
const cleaningCount = 32;

/**
 * What one check works with: connections to the server, an origin that no other check uses, and the calls of the contract. Whoever makes it
 * closes it, which removes from the server what was sent to it, where the server can do that.
 */
export class Probe {
  readonly options: ProbeOptions;
  /** 32 hexadecimal digits, of this check alone. */
  readonly origin = randomBytes(16).toString("hex");
  readonly storage: StorageClient;
  readonly health: HealthClient;
  readonly #clients = new Set<StorageClient>();
  readonly #sessions = new Set<SaveSession>();
  readonly #files: SampleFile[] = [];
  #lastNumber = 0n;

  constructor(options: ProbeOptions) {
    this.options = options;
    this.storage = this.connect(options.address);
    this.health = new HealthClient(options.address, credentials.createInsecure(), ownConnection);
  }

  /** A client of its own connection. It is closed with the probe. */
  connect(address: string): StorageClient {
    const client = new StorageClient(address, credentials.createInsecure(), ownConnection);
    this.#clients.add(client);
    return client;
  }

  /** A new file, under the next request number. Its bytes are drawn from the seed where a length is given. */
  file(content: number | Buffer, fields: Partial<SaveHeader> = {}): SampleFile {
    const requestNumber = fields.requestNumber ?? ++this.#lastNumber;
    const data =
      typeof content === "number" ? sampleBytes(this.options.seed + Number(requestNumber), content) : content;
    const file = new SampleFile(this.origin, requestNumber, data, fields);
    this.#files.push(file);
    return file;
  }

  /** Opens a `Save` stream; it is broken off with the probe where it has not ended by then. */
  open(client = this.storage): SaveSession {
    const session = new SaveSession(client, this.options.timeoutMs);
    this.#sessions.add(session);
    return session;
  }

  /** Sends a file on a stream of its own, as one part or in parts; tries again while the server is busy. The final answer. */
  async deliver(file: SampleFile, inParts = file.data.length > 65_536): Promise<Outcome> {
    for (const untilMs = Date.now() + this.options.patienceMs; ; ) {
      const session = this.open();
      if (inParts) await session.sendParts(file.parts(), file.requestNumber);
      else await session.send(file.whole());
      const outcome = await session.final(file.requestNumber);
      await session.close();
      if (outcome.$case !== "busy") return outcome;
      if (Date.now() > untilMs) throw new Violation(`the server was busy for ${this.options.patienceMs / 1000} s`);
      const { retryAfter } = outcome.value;
      await delay(retryAfter ? Math.min(fromDuration(retryAfter), 1_000) : 200);
    }
  }

  /** Sends a file, which must be stored now, or have been stored before. @throws Violation */
  async store(file: SampleFile, duplicate = false, inParts?: boolean): Promise<SaveSaved> {
    const outcome = await this.deliver(file, inParts);
    if (outcome.$case !== "saved") throw new Violation(`the file was answered with ${JSON.stringify(plain(outcome))}`);
    expectReceipt(outcome.value, file, duplicate);
    return outcome.value;
  }

  /** A file sent on a stream must be stored, at once or, where the server was busy, when it is sent again. @throws Violation */
  async storedOn(session: SaveSession, file: SampleFile): Promise<SaveSaved> {
    if ((await session.final(file.requestNumber)).$case === "busy") return this.store(file);
    const saved = await session.saved(file.requestNumber);
    expectReceipt(saved, file, false);
    return saved;
  }

  /** What `Load` answers. */
  load(): Promise<LoadResponse> {
    return callUnary<object, LoadResponse>(this.storage.load.bind(this.storage), {}, this.options.timeoutMs);
  }

  /** Asks something on the connection of the streams: once it is answered, what was sent on them before has arrived too. */
  async roundTrip(): Promise<void> {
    await this.load();
  }

  /** @throws NotImplemented */
  stat({ header: { origin, requestNumber } }: SampleFile): Promise<StatResponse> {
    const { storage } = this;
    return this.#optional("Stat", callUnary(storage.stat.bind(storage), { origin, requestNumber }, this.#timeoutMs));
  }

  /** What `Stat` says must be so, where the server has it; without it nothing is asked. @throws Violation */
  async expectHolding(file: SampleFile, ...expected: Holding[]): Promise<void> {
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
  discard(file: SampleFile, fence: Attempt = file.header): Promise<DiscardResponse> {
    const { origin, requestNumber, uploadId } = file.header;
    const { term, attempt } = fence;
    const request = { origin, requestNumber, uploadId, term, attempt };
    const { storage } = this;
    return this.#optional("Discard", callUnary(storage.discard.bind(storage), request, this.#timeoutMs));
  }

  /** Kills the server and starts it again, and waits until it serves. @throws Violation when it does not */
  async restart(): Promise<void> {
    await this.options.restart?.();
    const serves = async () => (await this.check("")) === "SERVING" && (await this.load()) !== undefined;
    await this.eventually(serves, "the server serves after the restart");
  }

  /** What `Health/Check` says. */
  async check(service: string): Promise<string> {
    const { health } = this;
    return (await callUnary(health.check.bind(health), { service }, this.options.timeoutMs)).status;
  }

  /** Waits until something holds; a call that fails meanwhile counts as no. @throws Violation */
  async eventually(condition: () => Promise<boolean>, what: string): Promise<void> {
    for (const untilMs = Date.now() + this.options.patienceMs; ; ) {
      if (await condition().catch(() => false)) return;
      if (Date.now() > untilMs) throw new Violation(`not within ${this.options.patienceMs / 1000} s: ${what}`);
      await delay(pollMs);
    }
  }

  /** Removes what was sent, where the server has `Discard`, and closes the connections. */
  async close(): Promise<void> {
    for (const session of this.#sessions) if (!session.end) session.cancel();
    for (let at = 0; at < this.#files.length; at += cleaningCount) {
      const files = this.#files.slice(at, at + cleaningCount);
      const removed = await Promise.allSettled(files.map((file) => this.discard(file, cleaningFence)));
      if (removed.some((end) => end.status === "rejected" && end.reason instanceof NotImplemented)) break;
    }
    for (const client of this.#clients) client.close();
    this.health.close();
  }

  get #timeoutMs(): number {
    return this.options.timeoutMs;
  }

  async #optional<Answer>(rpc: string, answer: Promise<Answer>): Promise<Answer> {
    try {
      return await answer;
    } catch (error) {
      if (statusOf(error) === status.UNIMPLEMENTED) throw new NotImplemented(`Storage/${rpc}`);
      throw error;
    }
  }
}

/** Each probe has connections of its own, so that what happens to one check's is not another's. */
const ownConnection = { ...channelOptions, "grpc.use_local_subchannel_pool": 1 };

/** Above every attempt that a check makes. */
const cleaningFence: Attempt = { term: 1_000_000n, attempt: 1 };

/** The status of a failed call; `undefined` for any other error. */
export function statusOf(error: unknown): status | undefined {
  const { code } = error as Partial<ServiceError>;
  return typeof code === "number" ? code : undefined;
}

/** A call must fail, with this status. @throws Violation, NotImplemented */
export async function expectStatus(call: Promise<unknown>, code: status, what: string): Promise<void> {
  const came = await call.then(
    () => status.OK,
    (error: unknown) => {
      if (error instanceof NotImplemented) throw error;
      return statusOf(error) ?? status.UNKNOWN;
    },
  );
  expectEqual(status[came], status[code], `the status of ${what}`);
}

/** What a server says of a stored file must be true. @throws Violation */
export function expectReceipt(
  saved: Pick<SaveSaved, "sizeBytes" | "sha256"> & { readonly duplicate?: boolean },
  file: SampleFile,
  duplicate?: boolean,
): void {
  expectEqual(saved.sizeBytes, BigInt(file.data.length), "size_bytes");
  expectEqual(Buffer.from(saved.sha256).toString("hex"), file.sha256, "sha256");
  if (duplicate !== undefined) expectEqual(saved.duplicate, duplicate, "duplicate");
}

/** An answer as JSON can hold it. */
function plain(outcome: Outcome): object {
  return outcome.$case === "refused" ? { refused: outcome.value.message } : { [outcome.$case]: {} };
}

/** Nothing is held under a number, or it is on its way still. */
export const notStored = [Holding.HOLDING_NONE, Holding.HOLDING_RECEIVING] as const;
