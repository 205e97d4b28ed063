import { mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ServerHealth } from "@bilancia/proto/gen/admin";
import { serversByName } from "./admin.js";
import { ManagedProcess, type ProcessExit, type ReadyLine, StartError } from "./managed-process.js";

/** The storage server, as a script for Node. */
export const storageScript = fileURLToPath(import.meta.resolve("@bilancia/storage-server/bin/bilancia-storage.js"));
/** The balancer, as a script for Node. */
export const balancerScript = fileURLToPath(import.meta.resolve("@bilancia/balancer/bin/bilancia-balancer.js"));
const storageCommand = [process.execPath, storageScript];

/** Where a process listens unless told otherwise: a free port, kept over restarts. */
const freePort = "127.0.0.1:0";

/** One storage server of a cluster. */
export interface ServerOptions {
  readonly name: string;
  /** Its share of the files, 1-256. */
  readonly weight: number;
  /** Folder of its files; made if missing. */
  readonly dir: string;
  /** `host:port`. Default: a free port on 127.0.0.1. */
  readonly listen?: string;
  /** What to run, as a program and its first arguments; it takes `--name`, `--listen` and `--dir`. Default: `bilancia-storage`. */
  readonly command?: readonly string[];
  /** More arguments of the server. */
  readonly args?: readonly string[];
  /** A program and its arguments that become the command, by `exec`: the process stays the same. Default: none. */
  readonly launcher?: readonly string[];
  /** Whether the balancer's configuration leaves it out. */
  readonly unlisted?: boolean;
}

/** The balancer of a cluster. */
export interface BalancerOptions {
  /** Folder of its queue. */
  readonly stateDir: string;
  /** `loadbalancer.log`, wherever it shall be. */
  readonly logFile: string;
  /** `host:port`. Default: a free port on 127.0.0.1. */
  readonly listen?: string;
  /** `host:port` of the admin service. Default: a free port on 127.0.0.1. */
  readonly adminListen?: string;
  /** `host:port` of the page and the metrics. Default: a free port on 127.0.0.1. */
  readonly webListen?: string;
  /** More arguments of `bilancia-balancer`. */
  readonly args?: readonly string[];
  /** Where it is to find a server, when not at the server's own address: for a proxy in between. */
  readonly serverAddress?: (name: string) => string;
}

/** What to start. */
export interface ClusterOptions {
  readonly servers: readonly ServerOptions[];
  readonly balancer: BalancerOptions;
  /** Folder for the output of each process. */
  readonly logDir: string;
  /** Time a process has to say that it serves. Default: 20,000 ms. */
  readonly readyTimeoutMs?: number;
  /** Time a process has to end before it is killed. Default: 15,000 ms. */
  readonly graceMs?: number;
  /** Whether SIGINT, SIGTERM and SIGHUP end this process, and the cluster with it. Default: true; false leaves them to the caller. */
  readonly endOnSignals?: boolean;
  /** Called when the servers serve, and the balancer is about to be started for the first time. */
  readonly beforeBalancer?: (cluster: LocalCluster) => Promise<void>;
  /** Called when a process ends that nobody asked to end. */
  readonly onUnexpectedExit?: (name: string, exit: ProcessExit) => void;
}

/** A process of the cluster as its user sees it. `address` holds the real port. */
export interface RunningServer {
  readonly name: string;
  readonly weight: number;
  readonly dir: string;
  readonly address: string;
  readonly pid: number;
}

/** The balancer's process. Addresses hold the real ports. */
export interface RunningBalancer {
  readonly address: string;
  readonly adminAddress: string;
  /** Of the page and the metrics. */
  readonly webAddress: string;
  readonly pid: number;
}

interface Slot {
  readonly process: ManagedProcess;
  readonly ready: ReadyLine;
}

const balancerName = "balancer";
const endingSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * A balancer and its storage servers, as real processes on this machine. No child outlives this process, unless it is killed by SIGKILL:
 * `stop()` ends them in order, and what is left when this process exits is killed.
 */
export class LocalCluster {
  readonly #options: Required<Omit<ClusterOptions, "beforeBalancer" | "onUnexpectedExit">> & ClusterOptions;
  readonly #slots = new Map<string, Slot>();
  /** Every process from the moment it is spawned until it is gone. */
  readonly #alive = new Set<ManagedProcess>();
  /** Processes that were told to end. */
  readonly #expected = new WeakSet<ManagedProcess>();
  readonly #killAll = () => {
    for (const process of this.#alive) process.kill("SIGKILL");
  };
  /** By custom a process that a signal ends has the exit code 128 + the signal's number. */
  readonly #exit = (_: NodeJS.Signals, signalNumber: number) => process.exit(128 + signalNumber);
  #stopping = false;

  constructor(options: ClusterOptions) {
    this.#options = { readyTimeoutMs: 20_000, graceMs: 15_000, endOnSignals: true, ...options };
  }

  /**
   * Starts the storage servers, then the balancer, and waits until it has found every server healthy: files sent from now on are
   * spread over all of them.
   *
   * @throws StartError, with nothing left running, when one of them does not come up or `stop()` is called meanwhile
   */
  async start(): Promise<void> {
    process.on("exit", this.#killAll);
    if (this.#options.endOnSignals) for (const signal of endingSignals) process.on(signal, this.#exit);
    try {
      await Promise.all(this.#options.servers.map(({ name }) => this.startServer(name)));
      await this.#options.beforeBalancer?.(this);
      await this.startBalancer();
      await this.#allHealthy();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Stops the balancer, then the storage servers. Safe to call at any time, also twice. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const processes = [...this.#alive];
    for (const process of processes) this.#expected.add(process);
    const isBalancer = (process: ManagedProcess) => process.name === balancerName;
    const { graceMs } = this.#options;
    await Promise.all(processes.filter(isBalancer).map((process) => process.stop(graceMs)));
    await Promise.all(processes.map((process) => process.stop(graceMs)));
    process.off("exit", this.#killAll);
    for (const signal of endingSignals) process.off(signal, this.#exit);
  }

  get balancer(): RunningBalancer {
    const { process, ready } = this.#slot(balancerName);
    const { address, adminAddress = "", webAddress = "" } = ready;
    return { address, adminAddress, webAddress, pid: process.pid };
  }

  /** The storage servers, in the order of the options. */
  get servers(): RunningServer[] {
    return this.#options.servers.map(({ name }) => this.server(name));
  }

  server(name: string): RunningServer {
    const { weight, dir } = this.#serverOptions(name);
    const { process, ready } = this.#slot(name);
    return { name, weight, dir, address: ready.address, pid: process.pid };
  }

  /**
   * Starts a storage server that is not running, on the same port and folder as before.
   *
   * @param moreArgs added to its own, this time
   */
  async startServer(name: string, moreArgs: readonly string[] = []): Promise<void> {
    const { dir, listen = freePort, launcher = [], command = storageCommand, args = [] } = this.#serverOptions(name);
    const address = this.#slots.get(name)?.ready.address ?? listen;
    mkdirSync(dir, { recursive: true });
    await this.#start(name, [
      ...[...launcher, ...command],
      ...["--name", name, "--listen", address, "--dir", dir],
      ...[...args, ...moreArgs],
    ]);
  }

  /** Starts the balancer if it is not running, on the same ports and state as before. */
  async startBalancer(): Promise<void> {
    const {
      stateDir,
      logFile,
      listen = freePort,
      adminListen = freePort,
      webListen = freePort,
      args = [],
      serverAddress,
    } = this.#options.balancer;
    const before = this.#slots.get(balancerName)?.ready;
    mkdirSync(stateDir, { recursive: true });
    mkdirSync(path.dirname(logFile), { recursive: true });
    await this.#start(balancerName, [
      ...[process.execPath, balancerScript],
      ...["--listen", before?.address ?? listen, "--admin-listen", before?.adminAddress ?? adminListen],
      ...["--web-listen", before?.webAddress ?? webListen],
      ...["--state-dir", stateDir, "--log-file", logFile],
      ...this.servers.flatMap(({ name, address, weight }) =>
        this.#serverOptions(name).unlisted
          ? []
          : ["--server", `name=${name},address=${serverAddress?.(name) ?? address},weight=${weight}`],
      ),
      ...args,
    ]);
  }

  /** Ends a storage server with a signal, and resolves when it is gone. */
  killServer(name: string, signal: "SIGKILL" | "SIGTERM"): Promise<ProcessExit> {
    return this.#kill(name, signal);
  }

  /** Ends the balancer with a signal, and resolves when it is gone. */
  killBalancer(signal: "SIGKILL" | "SIGTERM"): Promise<ProcessExit> {
    return this.#kill(balancerName, signal);
  }

  /** Resolves when a process, as it runs now, is gone. `balancer`, or a server's name. */
  exitOf(name: string): Promise<ProcessExit> {
    return this.#slot(name).process.exited;
  }

  /** What a process has written since it was last started, to standard output and to standard error. */
  logOf(name: string): string {
    return this.#slot(name).process.output;
  }

  async #allHealthy(): Promise<void> {
    const deadlineMs = performance.now() + this.#options.readyTimeoutMs;
    for (;;) {
      if (this.#stopping) throw new StartError("the cluster is stopping");
      const servers = [...(await serversByName(this.balancer.adminAddress)).values()];
      const missing = servers.filter(({ health }) => health !== ServerHealth.SERVER_HEALTH_HEALTHY);
      if (missing.length === 0) return;
      if (performance.now() > deadlineMs) {
        const reasons = missing.map(({ name, healthReason }) => `${name} (${healthReason || "not probed"})`);
        throw new StartError(`the balancer finds these servers not healthy: ${reasons.join(", ")}`);
      }
      await delay(20);
    }
  }

  #kill(name: string, signal: NodeJS.Signals): Promise<ProcessExit> {
    const { process } = this.#slot(name);
    this.#expected.add(process);
    process.kill(signal);
    return process.exited;
  }

  async #start(name: string, command: readonly string[]): Promise<void> {
    const { logDir, readyTimeoutMs } = this.#options;
    const again = this.#slots.has(name);
    const deadlineMs = performance.now() + readyTimeoutMs;
    for (;;) {
      if (this.#stopping) throw new StartError(`${name} was not started: the cluster is stopping`);
      const process = new ManagedProcess({ name, command, logDir });
      this.#alive.add(process);
      // A process that does not come up is reported by the error below.
      this.#expected.add(process);
      void process.exited.then((exit) => {
        this.#alive.delete(process);
        if (!this.#expected.has(process)) this.#options.onUnexpectedExit?.(name, exit);
      });
      try {
        this.#slots.set(name, { process, ready: await process.ready(readyTimeoutMs) });
        if (!this.#stopping) this.#expected.delete(process);
        return;
      } catch (error) {
        await process.stop(0);
        // On the way back to its old port a process may find an outgoing connection on it for a moment.
        const portTaken = error instanceof StartError && error.message.includes("in use");
        if (!again || !portTaken || performance.now() > deadlineMs) throw error;
        await delay(100);
      }
    }
  }

  #serverOptions(name: string): ServerOptions {
    const options = this.#options.servers.find((server) => server.name === name);
    if (options) return options;
    const names = this.#options.servers.map((server) => server.name).join(", ");
    throw new Error(`the cluster has no server "${name}"; expected one of: ${names}`);
  }

  #slot(name: string): Slot {
    const slot = this.#slots.get(name);
    if (!slot) throw new Error(`${name} has not been started yet`);
    return slot;
  }
}

/** Starts a cluster; see `LocalCluster.start`. */
export async function startCluster(options: ClusterOptions): Promise<LocalCluster> {
  const cluster = new LocalCluster(options);
  await cluster.start();
  return cluster;
}
