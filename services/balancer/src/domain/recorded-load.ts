import type { TracedServer, TraceLine } from "./pick-trace.js";
import type { PolicyName } from "./policy.js";
import type { Priority } from "./priority.js";

/** A file as a trace has it, with the work that it was for its server. */
export interface RecordedFile {
  readonly client: string;
  readonly priority: Priority;
  /** Length that was known when it was placed; `undefined` where none was. */
  readonly expectedBytes: number | undefined;
  readonly sizeBytes: number;
  readonly server: string;
  readonly arrivedMs: number;
  readonly placedMs: number;
  readonly storedMs: number;
  /** For how long its server worked on it, see `RecordedLoad`. */
  readonly workMs: number;
}

/** What was believed of the servers from a time on. */
export interface RecordedPool {
  readonly fromMs: number;
  readonly servers: readonly Pick<TracedServer, "server" | "state" | "effectiveWeight" | "maxFiles">[];
}

/**
 * A load as it was: which files came when, where they went, and how much work they were. A server is taken for one that works on one file after another, in the order of its answers: on each
 * from when the file was there and the one before it was answered, until it is answered itself. So all of a server's work is exactly the time in which it had any, however many files it takes at a time
 * (the reading of queues from their departures: R. C. Larson, "The Queue Inference Engine", Management Science 36(5), 1990).
 */
export interface RecordedLoad {
  /** In the order of their arrival. */
  readonly files: readonly RecordedFile[];
  readonly pools: readonly RecordedPool[];
  /** The policy in force at the end, and the limit of bytes on their way to a server. */
  readonly policy: PolicyName | undefined;
  readonly maxBytes: number;
  /** Attempts that failed, and those whose end or whose choice is not in the trace: they are left out. */
  readonly failedAttempts: number;
  readonly halfAttempts: number;
  /** Lines that the balancer could not write. */
  readonly missingLines: number;
}

/** `order`: of the choices. Files that came at the same time, or were answered at the same time, were chosen for in this order. */
type Placed = Omit<RecordedFile, "sizeBytes" | "storedMs" | "workMs"> & { readonly order: number };

/** Makes a load of the lines of a trace. */
export class LoadReader {
  readonly #placed = new Map<string, Placed>();
  readonly #stored: (Placed & Pick<RecordedFile, "sizeBytes" | "storedMs">)[] = [];
  readonly #pools: RecordedPool[] = [];
  #picks = 0;
  #poolKey = "";
  #policy: PolicyName | undefined;
  #maxBytes = Number.POSITIVE_INFINITY;
  #failedAttempts = 0;
  #halfAttempts = 0;
  #missingLines = 0;

  add(line: TraceLine): void {
    if (line.kind === "gap") {
      this.#missingLines += line.lines;
      return;
    }
    const key = `${line.requestNumber} ${line.attempt}`;
    if (line.kind === "pick") {
      const { client, priority = "normal", server, arrivedMs, atMs, sizeBytes: expectedBytes } = line;
      this.#policy = line.policy;
      this.#maxBytes = line.maxBytes;
      this.#look(atMs, line.servers);
      const times = { arrivedMs: Math.min(arrivedMs, atMs), placedMs: atMs };
      this.#placed.set(key, { client, priority, expectedBytes, server, ...times, order: this.#picks });
      this.#picks += 1;
      return;
    }
    const placed = this.#placed.get(key);
    this.#placed.delete(key);
    if (!placed) this.#halfAttempts += 1;
    else if (line.outcome !== "saved") this.#failedAttempts += 1;
    else {
      const storedMs = Math.max(line.atMs, placed.placedMs);
      this.#stored.push({ ...placed, sizeBytes: line.sizeBytes ?? placed.expectedBytes ?? 0, storedMs });
    }
  }

  load(): RecordedLoad {
    const files: (RecordedFile & Pick<Placed, "order">)[] = [];
    const freeMs = new Map<string, number>();
    for (const file of this.#stored.toSorted((a, b) => a.storedMs - b.storedMs || a.order - b.order)) {
      const { server, placedMs, storedMs } = file;
      const workMs = storedMs - Math.max(placedMs, freeMs.get(server) ?? placedMs);
      freeMs.set(server, storedMs);
      files.push({ ...file, workMs });
    }
    return {
      files: files.sort((a, b) => a.arrivedMs - b.arrivedMs || a.order - b.order),
      pools: this.#pools,
      policy: this.#policy,
      maxBytes: this.#maxBytes,
      failedAttempts: this.#failedAttempts,
      halfAttempts: this.#halfAttempts + this.#placed.size,
      missingLines: this.#missingLines,
    };
  }

  /** Takes the pool down where it is another one than before. Whether servers were full is for the simulation to know. */
  #look(fromMs: number, servers: readonly TracedServer[]): void {
    const seen = servers.map(({ server, state, effectiveWeight, maxFiles }) => {
      const held = state === "full" ? "available" : state === "drained" ? "draining" : state;
      return { server, state: held, effectiveWeight, maxFiles };
    });
    const key = JSON.stringify(seen);
    if (key === this.#poolKey) return;
    this.#poolKey = key;
    this.#pools.push({ fromMs, servers: seen });
  }
}
