import type { Workload } from "../bench.js";
import { large } from "./large.js";
import { latency } from "./latency.js";
import { memory } from "./memory.js";
import { mixed } from "./mixed.js";
import { queueMemory } from "./queue-memory.js";
import { restart } from "./restart.js";
import { scheduler } from "./scheduler.js";
import { slowServer } from "./slow-server.js";
import { small } from "./small.js";
import { storageSmallFiles } from "./storage-small-files.js";
import { teaching } from "./teaching.js";
import { tinyQueued } from "./tiny-queued.js";
import { twoClients } from "./two-clients.js";
import { wan } from "./wan.js";

/** Every workload, in the order in which they run. */
export const workloads: readonly Workload[] = [
  ...[small, tinyQueued, latency, large, mixed, wan],
  ...[slowServer, memory, queueMemory, restart, scheduler, storageSmallFiles, teaching, twoClients],
];
