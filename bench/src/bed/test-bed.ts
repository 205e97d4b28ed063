import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { LocalCluster } from "@bilancia/local-cluster/cluster";
import { AdminClient, type GetStatusResponse } from "@bilancia/proto/gen/admin";
import { Ack } from "@bilancia/proto/gen/balancer";
import { StorageClient } from "@bilancia/proto/services";
import { callUnary } from "@bilancia/proto/unary";
import { credentials } from "@grpc/grpc-js";
import { balancerDialect, type ConnectOptions } from "../load/balancer-dialect.js";
import { type Contender, oneCallPerFile, overStreams } from "../load/contender.js";
import type { StoredFile } from "../load/dialect.js";
import { storageDialect } from "../load/storage-dialect.js";
import { type ProxyName, type RunningPeer, startProxy } from "../peers/peers.js";
import { settleDisk } from "./settle-disk.js";
import { TempFolder } from "./temp-folder.js";

const callTimeoutMs = 60_000;
const settleTimeoutMs = 30_000;
const pollMs = 100;
const serverNames = ["storage-1", "storage-2", "storage-3"];

/** What a workload is measured on. */
export interface TestBedOptions {
  /** A folder on the disk to use. */
  readonly parent: string;
  /** The proxies to start beside the balancer. Default: none. */
  readonly proxies?: readonly ProxyName[];
  /** How many storage servers, 1-3. Default: 3. */
  readonly serversCount?: number;
  /** More arguments of the balancer. */
  readonly balancerArgs?: readonly string[];
  /** Where the balancer is to find a server, when not at its own address: for a proxy in between. */
  readonly serverAddress?: (name: string, address: string) => string;
  /** Time a process has to say that it serves. Default: 20,000 ms. */
  readonly readyTimeoutMs?: number;
}

/**
 * A balancer and storage servers with their default settings, and proxies in front of the same servers, as processes, with all files in a
 * temporary folder. Whoever starts it stops it.
 */
export class TestBed {
  readonly cluster: LocalCluster;
  readonly #parent: string;
  readonly #folder: TempFolder;
  readonly #proxies = new Map<ProxyName, RunningPeer>();
  readonly #contenders: Contender[] = [];
  #problem: string | undefined;

  private constructor(options: TestBedOptions) {
    this.#parent = options.parent;
    this.#folder = new TempFolder(options.parent);
    const { path } = this.#folder;
    const names = serverNames.slice(0, options.serversCount);
    const { serverAddress } = options;
    this.cluster = new LocalCluster({
      servers: names.map((name) => ({ name, weight: 1, dir: join(path, name) })),
      balancer: {
        stateDir: this.stateDir,
        logFile: join(path, "loadbalancer.log"),
        args: options.balancerArgs ?? [],
        ...(serverAddress
          ? { serverAddress: (name: string) => serverAddress(name, this.cluster.server(name).address) }
          : {}),
      },
      logDir: join(path, "logs"),
      readyTimeoutMs: options.readyTimeoutMs ?? 20_000,
      onUnexpectedExit: (name, { code, signal }) => {
        this.#problem ??= `${name} ended with ${code ?? signal}`;
      },
    });
  }

  /** @throws Error when something does not come up; nothing is left then */
  static async start(options: TestBedOptions): Promise<TestBed> {
    const bed = new TestBed(options);
    try {
      const started = bed.cluster.start();
      bed.#folder.removeAtExit();
      await started;
      const addresses = bed.cluster.servers.map(({ address }) => address);
      for (const name of options.proxies ?? [])
        bed.#proxies.set(name, await startProxy(name, addresses, join(bed.#folder.path, name)));
      return bed;
    } catch (error) {
      await bed.stop();
      throw error;
    }
  }

  /** The balancer: many files per stream. */
  ours(streamsCount: number, options: ConnectOptions & { name?: string; address?: string; ack?: Ack } = {}): Contender {
    const { address = this.cluster.balancer.address, ack = Ack.ACK_STORED, name = "ours" } = options;
    return this.#kept(overStreams(name, balancerDialect(address, ack, options), streamsCount));
  }

  /** A storage server with nothing in between: many files per stream. */
  direct(streamsCount: number, options: ConnectOptions = {}): Contender {
    const [server] = this.cluster.servers;
    if (!server) throw new Error("the cluster has no servers");
    return this.#kept(overStreams("storage server", storageDialect(server.address, "direct", options), streamsCount));
  }

  /** Each proxy, with one call for each file. @param addressOf where to reach it, when not at its own address */
  perFile(options: ConnectOptions = {}, addressOf?: (proxy: ProxyName) => string): Contender[] {
    return [...this.#proxies].map(([name, { address }]) =>
      this.#kept(oneCallPerFile(name, storageDialect(addressOf?.(name) ?? address, name, options))),
    );
  }

  /** Each proxy, with many files per stream, each stream with one server. */
  pinned(streamsCount: number, options: ConnectOptions = {}): Contender[] {
    return [...this.#proxies].map(([name, { address }]) =>
      this.#kept(overStreams(`${name}, pinned streams`, storageDialect(address, `${name}-p`, options), streamsCount)),
    );
  }

  /** The balancer's state. */
  get stateDir(): string {
    return join(this.#folder.path, "balancer");
  }

  get proxyAddresses(): Partial<Record<ProxyName, string>> {
    return Object.fromEntries([...this.#proxies].map(([name, { address }]) => [name, address]));
  }

  /** Removes files from the servers, to make room. @throws Error when one was not there */
  async discard(files: readonly StoredFile[]): Promise<void> {
    const { origin } = await this.status();
    const clients = this.cluster.servers.map(({ address }) => storageClient(address));
    for (const file of files) {
      const request = { ...file, origin: file.origin || origin, attempt: 1_000_000, term: 1_000_000n };
      const answers = await Promise.all(
        clients.map((client) => callUnary(client.discard.bind(client), request, callTimeoutMs)),
      );
      const copiesCount = answers.filter(({ discarded }) => discarded).length;
      if (copiesCount !== 1) throw new Error(`expected one copy of a file on the servers, found ${copiesCount}`);
    }
    for (const client of clients) client.close();
    await settleDisk(this.#parent);
  }

  /** How many files each server holds, by its own count. */
  async storedCounts(): Promise<number[]> {
    return Promise.all(
      this.cluster.servers.map(async ({ address }) => {
        const client = storageClient(address);
        const { storedFiles } = await callUnary(client.load.bind(client), {}, callTimeoutMs);
        client.close();
        return Number(storedFiles);
      }),
    );
  }

  /**
   * Waits until the servers hold so many files in all: where an answer was lost, a copy too many is removed a little later.
   *
   * @throws Error when they do not hold so many after 30 s
   */
  async expectStored(filesCount: number): Promise<void> {
    for (const deadlineMs = performance.now() + settleTimeoutMs; ; await delay(pollMs)) {
      const storedCount = (await this.storedCounts()).reduce((sum, count) => sum + count, 0);
      if (storedCount === filesCount) return;
      if (performance.now() > deadlineMs)
        throw new Error(`${filesCount} files were acknowledged, but the servers hold ${storedCount}`);
    }
  }

  /** The balancer's own account. */
  async status(): Promise<GetStatusResponse> {
    const client = new AdminClient(this.cluster.balancer.adminAddress, credentials.createInsecure());
    const status = await callUnary(client.getStatus.bind(client), {}, callTimeoutMs);
    client.close();
    return status;
  }

  /** Ends everything. Its files go at the end of this process at the latest. @throws Error when a process had ended before */
  async stop(): Promise<void> {
    await Promise.all(this.#contenders.map((contender) => contender.close()));
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.stop()));
    await this.cluster.stop();
    this.#folder.done();
    await settleDisk(this.#parent);
    if (this.#problem !== undefined) throw new Error(this.#problem);
  }

  #kept(contender: Contender): Contender {
    this.#contenders.push(contender);
    return contender;
  }
}

function storageClient(address: string): StorageClient {
  return new StorageClient(address, credentials.createInsecure());
}
