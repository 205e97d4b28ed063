import { type Backend, inFlightCharge, isAvailable, loadOf, newBackend, streamedFileBytes } from "./backend.js";
import { DeficitRoundRobin } from "./deficit-round-robin.js";
import type { PlacedFile } from "./load-summary.js";
import { newPolicy } from "./new-policy.js";
import type { Policy, PolicyName } from "./policy.js";
import { PriorityLines } from "./priority-lines.js";
import { RecordedLine } from "./recorded-line.js";
import type { RecordedFile, RecordedLoad, RecordedPool } from "./recorded-load.js";
import { weightUnit } from "./slow-start.js";

/** Under what a load is to be simulated. */
export interface SimulationSettings {
  readonly policy: PolicyName;
  /** Weights by server, in place of those that were recorded. */
  readonly weights: ReadonlyMap<string, number>;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
}

/** Where files would have gone. */
export interface Simulated {
  readonly files: readonly PlacedFile[];
  /** Files that could not be placed to the end, because nobody was available any more. */
  readonly unplacedFiles: number;
}

/** A server in the simulation: works on one file after another. */
interface SimulatedServer {
  readonly backend: Backend;
  maxFiles: number;
  weight: number;
  /** Whether the policy has it. */
  offered: boolean;
  freeMs: number;
  /** What is on its way to it, in the order of its answers, from `head`. */
  readonly running: Running[];
  head: number;
}

interface Running {
  readonly file: RecordedFile;
  readonly endsMs: number;
}

/** What a file costs a server beside its bytes, in bytes, for whoever compares how quick servers are. */
const fileCostBytes = loadOf({ inFlightFiles: 1, inFlightBytes: 0 });

/**
 * Replays a recorded load: files arrive as they did, clients take turns, servers are in the states in which they were, and each works on one file after another. A policy places them,
 * and the limits of what is on its way to a server hold. A file is as much work as it was on its server; on another one, as much more or less as that was slower or quicker for its bytes in the whole load.
 * What is not known cannot be simulated: failed attempts, and that one server would have been quicker if another had had less to do.
 */
export function simulate(load: RecordedLoad, settings: SimulationSettings): Simulated {
  return new Simulation(load, settings).run();
}

class Simulation {
  readonly #load: RecordedLoad;
  readonly #settings: SimulationSettings;
  readonly #policy: Policy;
  readonly #servers = new Map<string, SimulatedServer>();
  readonly #lanes = new Map<string, PriorityLines<RecordedLine>>();
  readonly #turns = new DeficitRoundRobin<string>();
  readonly #slowness: ReadonlyMap<string, number>;
  readonly #placed: PlacedFile[] = [];
  #waiting = 0;
  #nowMs = 0;

  constructor(load: RecordedLoad, settings: SimulationSettings) {
    this.#load = load;
    this.#settings = settings;
    this.#slowness = slownessOf(load.files);
    const onTheWay = (name: string) => {
      const server = this.#servers.get(name);
      return server ? loadOf(server.backend) : 0;
    };
    this.#policy = newPolicy(settings.policy, onTheWay, settings.random);
  }

  run(): Simulated {
    const { files, pools } = this.#load;
    let nextFile = 0;
    let nextPool = 0;
    for (;;) {
      const ending = this.#nextToEnd();
      const endMs = ending?.running[ending.head]?.endsMs ?? Number.POSITIVE_INFINITY;
      const pool = pools[nextPool];
      const file = files[nextFile];
      // The first pool holds from the beginning: files have arrived before anybody was chosen.
      const poolMs = pool ? (nextPool === 0 ? Number.NEGATIVE_INFINITY : pool.fromMs) : Number.POSITIVE_INFINITY;
      const fileMs = file?.arrivedMs ?? Number.POSITIVE_INFINITY;
      const nextMs = Math.min(endMs, poolMs, fileMs);
      if (nextMs === Number.POSITIVE_INFINITY) return { files: this.#placed, unplacedFiles: this.#waiting };
      this.#nowMs = Math.max(this.#nowMs, nextMs);
      if (ending && endMs === nextMs) this.#end(ending);
      else if (pool && poolMs === nextMs) {
        this.#become(pool);
        nextPool += 1;
      } else if (file) {
        this.#join(file);
        nextFile += 1;
      }
      this.#place();
    }
  }

  #become({ servers }: RecordedPool): void {
    const here = new Set(servers.map(({ server }) => server));
    for (const [name, server] of this.#servers) {
      if (here.has(name)) continue;
      server.backend.draining = spell;
      this.#weigh(server);
    }
    for (const { server: name, state, effectiveWeight, maxFiles } of servers) {
      const known = this.#servers.get(name);
      const server = known ?? newServer(name);
      this.#servers.set(name, server);
      server.maxFiles = maxFiles;
      server.weight = this.#settings.weights.get(name) ?? effectiveWeight;
      becomeState(server.backend, state);
      // As in the pool: everybody has a place from the beginning, so that equals go in the order of the configuration.
      if (!known) {
        this.#offer(server);
        this.#policy.withdraw(name);
      } else if (server.offered) this.#offer(server);
      this.#weigh(server);
    }
  }

  #join(file: RecordedFile): void {
    const lane = this.#lanes.get(file.client) ?? new PriorityLines(() => new RecordedLine());
    this.#lanes.set(file.client, lane);
    lane.joining(file.priority).push(file);
    this.#turns.join(file.client);
    this.#waiting += 1;
  }

  #place(): void {
    while (this.#waiting > 0 && [...this.#servers.values()].some(({ offered }) => offered)) {
      const file = this.#take();
      const name = file && this.#policy.pick(file.expectedBytes ?? streamedFileBytes);
      const server = name === undefined ? undefined : this.#servers.get(name);
      if (!file || !server) throw new Error("a policy that has servers must pick one");
      this.#begin(file, server);
    }
  }

  #take(): RecordedFile | undefined {
    const client = this.#turns.next((candidate) => this.#lanes.get(candidate)?.firstCost ?? 0);
    const lane = client === undefined ? undefined : this.#lanes.get(client);
    if (client === undefined || !lane) return undefined;
    const file = lane.take()?.shift();
    this.#waiting -= 1;
    if (lane.firstCost === 0) {
      this.#lanes.delete(client);
      this.#turns.leave(client);
    }
    return file;
  }

  #begin(file: RecordedFile, server: SimulatedServer): void {
    const { backend } = server;
    const workMs = this.#workOn(file, backend.name);
    const endsMs = Math.max(this.#nowMs, server.freeMs) + workMs;
    server.freeMs = endsMs;
    server.running.push({ file, endsMs });
    backend.inFlightFiles += 1;
    backend.inFlightBytes += inFlightCharge(file.expectedBytes);
    const { sizeBytes, arrivedMs } = file;
    this.#placed.push({ server: backend.name, sizeBytes, arrivedMs, placedMs: this.#nowMs, storedMs: endsMs, workMs });
    this.#weigh(server);
  }

  #end(server: SimulatedServer): void {
    const { backend, running } = server;
    const ended = running[server.head];
    server.head += 1;
    if (server.head > 1_024 && server.head * 2 > running.length) {
      running.splice(0, server.head);
      server.head = 0;
    }
    if (!ended) return;
    const { expectedBytes, sizeBytes } = ended.file;
    backend.inFlightFiles -= 1;
    backend.inFlightBytes -= inFlightCharge(expectedBytes);
    this.#policy.correct(backend.name, expectedBytes ?? streamedFileBytes, sizeBytes);
    this.#weigh(server);
  }

  #nextToEnd(): SimulatedServer | undefined {
    let next: SimulatedServer | undefined;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const server of this.#servers.values()) {
      const endsMs = server.running[server.head]?.endsMs ?? Number.POSITIVE_INFINITY;
      if (endsMs >= nextMs) continue;
      next = server;
      nextMs = endsMs;
    }
    return next;
  }

  /** Puts a server into the choice, or takes it out, as the facts are now. */
  #weigh(server: SimulatedServer): void {
    const limits = { maxFiles: server.maxFiles, maxBytes: this.#load.maxBytes };
    const available = isAvailable(server.backend, limits, this.#nowMs);
    if (available === server.offered) return;
    server.offered = available;
    if (available) this.#offer(server);
    else this.#policy.withdraw(server.backend.name);
  }

  #offer({ backend, weight }: SimulatedServer): void {
    this.#policy.offer(backend.name, Math.max(1, Math.round(weight * weightUnit)));
  }

  #workOn({ server, workMs }: RecordedFile, elsewhere: string): number {
    if (server === elsewhere) return workMs;
    const from = this.#slowness.get(server) ?? 0;
    const to = this.#slowness.get(elsewhere) ?? meanOf(this.#slowness);
    return from > 0 ? (workMs * to) / from : workMs;
  }
}

const spell = { sinceMs: 0, reason: "recorded" };

function newServer(name: string): SimulatedServer {
  const backend = newBackend({ name, address: "", weight: 1 }, 0);
  return { backend, maxFiles: 1, weight: 1, offered: false, freeMs: 0, running: [], head: 0 };
}

/** Makes the facts such that the server is in a recorded state. */
function becomeState(backend: Backend, state: RecordedPool["servers"][number]["state"]): void {
  const healthy = state !== "unhealthy" && state !== "unknown";
  backend.health = { kind: healthy ? "healthy" : "unhealthy", ...spell, doubts: 0 };
  backend.draining = state === "draining" || state === "drained" ? spell : undefined;
  backend.lapsed = state === "lease-expired" ? spell : undefined;
  backend.ejection = state === "ejected" ? { ...spell, untilMs: Number.POSITIVE_INFINITY } : undefined;
  backend.overload = state === "overloaded" ? spell : undefined;
  backend.busyUntilMs = state === "busy" ? Number.POSITIVE_INFINITY : 0;
}

/** How long each server took for a byte, by its recorded work. */
function slownessOf(files: readonly RecordedFile[]): Map<string, number> {
  const sums = new Map<string, { workMs: number; costBytes: number }>();
  for (const { server, workMs, sizeBytes } of files) {
    const sum = sums.get(server) ?? { workMs: 0, costBytes: 0 };
    sum.workMs += workMs;
    sum.costBytes += sizeBytes + fileCostBytes;
    sums.set(server, sum);
  }
  return new Map([...sums].map(([server, { workMs, costBytes }]) => [server, workMs / costBytes]));
}

/** For a server of which nothing was recorded. */
function meanOf(slowness: ReadonlyMap<string, number>): number {
  return [...slowness.values()].reduce((sum, each) => sum + each, 0) / Math.max(1, slowness.size);
}
