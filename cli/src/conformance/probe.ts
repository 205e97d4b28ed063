import { setTimeout as delay } from "node:timers/promises";
import { channelOptions } from "@bilancia/proto/channel-options";
import { HealthClient } from "@bilancia/proto/health";
import { callUnary } from "@bilancia/proto/unary";
import { type ChannelCredentials, type ClientOptions, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { sampleBytes } from "./sample-file.js";
import { expectEqual, NotImplemented, Violation } from "./violation.js";

/** How a server is to be tried. */
export interface ProbeOptions {
  /** `host:port` of the server. */
  readonly address: string;
  /** How to connect. Default: in plain text. */
  readonly credentials?: ChannelCredentials;
  /** How long an answer may take, in milliseconds. */
  readonly timeoutMs: number;
  /** How long a server may be busy, take to serve again after a restart, and to change its overload bit, in milliseconds. */
  readonly patienceMs: number;
  /** Seed of what is chosen by chance: contents, and where streams are cut. */
  readonly seed: number;
  /** Kills the server and starts it again; resolves once that has been done. */
  readonly restart?: (() => Promise<void>) | undefined;
  /** From how many files in progress on a storage server says that it is overloaded. */
  readonly overloadFiles?: number | undefined;
  /** From how many files in progress on a storage server answers `busy`. */
  readonly busyFiles?: number | undefined;
  /** The largest file that a balancer takes, in bytes. */
  readonly maxFileBytes?: number | undefined;
  /** How many files that are not stored a balancer's queue takes. */
  readonly queueFiles?: number | undefined;
}

interface Closable {
  close(): void;
}

/** A stream that ends with its probe. */
interface Breakable {
  readonly end: unknown;
  cancel(): void;
}

type ClientClass<Client> = new (
  address: string,
  credentials: ChannelCredentials,
  options?: Partial<ClientOptions>,
) => Client;

/** Between two looks at something that is waited for, in milliseconds. */
const pollMs = 50;
/** Each probe has connections of its own, so that what happens to one check's is not another's. */
const ownConnection = { ...channelOptions, "grpc.use_local_subchannel_pool": 1 };

/** What one check works with: connections to the server, and what the contracts have in common. Whoever makes it closes it. */
export abstract class Probe {
  readonly options: ProbeOptions;
  readonly health: HealthClient;
  readonly #clients = new Set<Closable>();
  readonly #streams = new Set<Breakable>();
  #sampleCount = 0;

  constructor(options: ProbeOptions) {
    this.options = options;
    this.health = this.client(HealthClient);
  }

  /** Asks something on the connection of the streams: once it is answered, what was sent on them before has arrived too. */
  abstract roundTrip(): Promise<void>;

  /**
   * Stores a file, and compares what is said of it.
   *
   * @param partBytes data of a part; not given: the file is one part
   * @throws Violation
   */
  abstract storeSample(sizeBytes: number, partBytes?: number): Promise<void>;

  /** What `Health/Check` says. */
  async check(service: string): Promise<string> {
    const { health } = this;
    return (await this.optional("Health/Check", callUnary(health.check.bind(health), { service }, this.timeoutMs)))
      .status;
  }

  /** Kills the server and starts it again, and waits until it serves. @throws Violation when it does not */
  async restart(): Promise<void> {
    await this.options.restart?.();
    await this.eventually(() => this.serves(), "the server serves after the restart");
  }

  /** Waits until something holds; a call that fails meanwhile counts as no. @throws Violation */
  async eventually(condition: () => Promise<boolean>, what: string): Promise<void> {
    for (const untilMs = Date.now() + this.options.patienceMs; ; ) {
      if (await condition().catch(() => false)) return;
      if (Date.now() > untilMs) throw new Violation(`not within ${this.options.patienceMs / 1000} s: ${what}`);
      await delay(pollMs);
    }
  }

  /** Breaks off the streams that have not ended, and closes the connections. */
  async close(): Promise<void> {
    this.breakOff();
    for (const client of this.#clients) client.close();
  }

  protected get timeoutMs(): number {
    return this.options.timeoutMs;
  }

  protected async serves(): Promise<boolean> {
    await this.roundTrip();
    return true;
  }

  /** A client of its own connection. It is closed with the probe. @param options what differs from those of every channel */
  protected client<Client extends Closable>(
    Class: ClientClass<Client>,
    address = this.options.address,
    options: Partial<ClientOptions> = {},
  ): Client {
    const secrets = this.options.credentials ?? credentials.createInsecure();
    // The name in its certificate is that of the server, also where a relay stands in front of it.
    const name = { "grpc.ssl_target_name_override": hostOf(this.options.address) };
    const client = new Class(address, secrets, { ...ownConnection, ...name, ...options });
    this.#clients.add(client);
    return client;
  }

  /** A stream is broken off with the probe where it has not ended by then. */
  protected keep<Stream extends Breakable>(stream: Stream): Stream {
    this.#streams.add(stream);
    return stream;
  }

  protected breakOff(): void {
    for (const stream of this.#streams) if (!stream.end) stream.cancel();
  }

  /** The bytes of a file: given, or as many as are asked for, drawn from the seed. */
  protected contentOf(content: number | Buffer): Buffer {
    this.#sampleCount++;
    return typeof content === "number" ? sampleBytes(this.options.seed + this.#sampleCount, content) : content;
  }

  /** @throws NotImplemented */
  protected async optional<Answer>(rpc: string, answer: Promise<Answer>): Promise<Answer> {
    try {
      return await answer;
    } catch (error) {
      if (statusOf(error) === status.UNIMPLEMENTED) throw new NotImplemented(rpc);
      throw error;
    }
  }
}

/** The status of a failed call; `undefined` for any other error. */
export function statusOf(error: unknown): status | undefined {
  const { code } = error as Partial<ServiceError>;
  return typeof code === "number" ? code : undefined;
}

/** A call must fail, with this status. Returns its details. @throws Violation, NotImplemented */
export async function expectStatus(call: Promise<unknown>, code: status, what: string): Promise<string> {
  let details = "";
  const came = await call.then(
    () => status.OK,
    (error: unknown) => {
      if (error instanceof NotImplemented) throw error;
      details = (error as Partial<ServiceError>).details ?? "";
      return statusOf(error) ?? status.UNKNOWN;
    },
  );
  expectEqual(status[came], status[code], `the status of ${what}`);
  return details;
}

/** What is said of a stored file must be true. @throws Violation */
export function expectContent(
  said: { readonly sizeBytes: bigint; readonly sha256: Uint8Array },
  file: { readonly data: Buffer; readonly sha256: string },
): void {
  expectEqual(said.sizeBytes, BigInt(file.data.length), "size_bytes");
  expectEqual(Buffer.from(said.sha256).toString("hex"), file.sha256, "sha256");
}

/** The host of `host:port`, without the brackets of an IPv6 address. */
function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
}
