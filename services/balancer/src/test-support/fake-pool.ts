import type { DiscardRequest, SaveHeader, StatRequest } from "@bilancia/proto/gen/storage";
import type { Part } from "@bilancia/proto/part-codec";
import { type ServiceError, status } from "@grpc/grpc-js";
import type { PooledServer } from "../dispatch/pooled-server.js";
import type { SaveOutcome } from "../dispatch/save-stream.js";
import type { ServerPool } from "../dispatch/server-pool.js";
import { SmoothWeightedRoundRobin } from "../domain/smooth-wrr.js";
import type { FakeServer } from "./fake-server.js";

/** What dispatch uses of a pool. */
type PoolForDispatch = Pick<
  ServerPool,
  | "onChange"
  | "onReturn"
  | "get"
  | "names"
  | "anyAvailable"
  | "isAvailable"
  | "pick"
  | "pickSame"
  | "occupy"
  | "pause"
  | "stored"
  | "failed"
>;

/** One balancer's connections to servers in memory. Answers come in a later turn of the event loop, and none once it is cut off. */
export class FakePool implements PoolForDispatch {
  readonly #servers: ReadonlyMap<string, { readonly fake: FakeServer; readonly pooled: PooledServer }>;
  readonly #maxFiles: number;
  readonly #scheduler = new SmoothWeightedRoundRobin();
  #files = 0;
  #onChange: () => void = () => {};
  #onReturn: (server: PooledServer) => void = () => {};
  #cutOff = false;

  /** @param maxFiles on their way to all of them together at most. Default: no limit */
  constructor(servers: readonly FakeServer[], maxFiles = Number.POSITIVE_INFINITY) {
    this.#maxFiles = maxFiles;
    this.#servers = new Map(servers.map((fake) => [fake.name, { fake, pooled: this.#pooled(fake) }]));
  }

  /** To be handed to a `Dispatcher`. */
  get asPool(): ServerPool {
    return this as unknown as ServerPool;
  }

  /** The balancer has died: nothing reaches it any more, nor the servers from it. */
  cutOff(): void {
    this.#cutOff = true;
  }

  /** A server has changed; it is noticed as if it had been probed. */
  changed(server: FakeServer): void {
    const pooled = this.#servers.get(server.name)?.pooled;
    if (server.up && pooled) this.#onReturn(pooled);
    this.#onChange();
  }

  onChange(callback: () => void): void {
    this.#onChange = callback;
  }

  onReturn(callback: (server: PooledServer) => void): void {
    this.#onReturn = callback;
  }

  get(name: string): PooledServer | undefined {
    return this.#servers.get(name)?.pooled;
  }

  get names(): string[] {
    return [...this.#servers.keys()];
  }

  get anyAvailable(): boolean {
    return this.#files < this.#maxFiles && [...this.#servers.values()].some(({ fake }) => isAvailable(fake));
  }

  isAvailable({ backend }: PooledServer): boolean {
    const fake = this.#servers.get(backend.name)?.fake;
    return fake !== undefined && isAvailable(fake);
  }

  pick(avoid: ReadonlySet<string>): PooledServer | undefined {
    for (const [name, { fake }] of this.#servers) {
      if (!avoid.has(name) && isAvailable(fake)) this.#scheduler.offer(name, fake.weight);
      else this.#scheduler.withdraw(name);
    }
    const picked = this.#scheduler.pick();
    return picked === undefined ? undefined : this.get(picked);
  }

  pickSame(name: string): PooledServer | undefined {
    return this.#servers.get(name)?.fake.up ? this.get(name) : undefined;
  }

  occupy(): () => void {
    this.#files += 1;
    return () => {
      this.#files -= 1;
      this.#onChange();
    };
  }

  pause(): void {
    setImmediate(() => this.#onChange());
  }

  stored(): void {}

  failed(): void {}

  #pooled(fake: FakeServer): PooledServer {
    const answer = <T>(callback: (error: ServiceError | null, response?: T) => void, work: () => T) =>
      setImmediate(() => {
        if (this.#cutOff) return;
        if (fake.up) callback(null, work());
        else callback(Object.assign(new Error("down"), { code: status.UNAVAILABLE, details: "down" }) as ServiceError);
      });
    const link = {
      get shared() {
        return link.open();
      },
      open: () => new FakeStream(fake, () => this.#cutOff),
      expire: () => {},
      storage: {
        stat: (request: StatRequest, _: unknown, __: unknown, callback: Parameters<typeof answer>[0]) =>
          answer(callback, () => fake.stat(request)),
        discard: (request: DiscardRequest, _: unknown, __: unknown, callback: Parameters<typeof answer>[0]) =>
          answer(callback, () => fake.discard(request)),
      },
    };
    const backend = {
      name: fake.name,
      get health() {
        return { kind: fake.up ? "healthy" : "unhealthy", sinceMs: 0, reason: "" };
      },
    };
    const offers = () => true;
    return { backend, link, offers, storedFiles: 0, storedBytes: 0, failedAttempts: 0 } as unknown as PooledServer;
  }
}

function isAvailable({ up, overloaded, draining }: FakeServer): boolean {
  return up && !overloaded && !draining;
}

/** One `Save` call; each file is on a stream of its own here. */
class FakeStream {
  readonly closed = false;
  readonly #server: FakeServer;
  readonly #isCutOff: () => boolean;
  readonly #chunks: Uint8Array[] = [];
  #header: SaveHeader | undefined;
  #settle: (outcome: SaveOutcome) => void = () => {};

  constructor(server: FakeServer, isCutOff: () => boolean) {
    this.#server = server;
    this.#isCutOff = isCutOff;
  }

  expect(): Promise<SaveOutcome> {
    return new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  push({ header, data }: Part<SaveHeader>): boolean {
    this.#header ??= header;
    this.#chunks.push(data);
    return true;
  }

  finished(): void {
    const header = this.#header;
    if (!header) throw new Error("a file ended that has no header");
    setImmediate(() => {
      if (this.#isCutOff()) return;
      const outcome = this.#server.save(header, Buffer.concat(this.#chunks));
      setImmediate(() => {
        if (!this.#isCutOff()) this.#settle(outcome);
      });
    });
  }

  async ready(): Promise<void> {}

  end(): void {}

  cancel(): void {
    this.#settle({ kind: "lost", message: "the stream was cancelled" });
  }
}
