import { getHeapStatistics } from "node:v8";
import { findCollector } from "./collector.js";

/** Below this V8 decides, in bytes: a few clients' files take less. */
const muchBytes = 128 * 1024 * 1024;
/** By how much buffers may grow from one collection to the next, in bytes. V8 itself begins at 64 MiB, and much may come until it ends. */
const growthBytes = 32 * 1024 * 1024;
const calmCheckMs = 250;
const busyCheckMs = 25;

/** Where buffers are counted and collected: tests watch it. */
export interface BufferHeap {
  /** Of all buffers, those that nobody uses any more among them. */
  bufferBytes(): number;
  collect(): void;
  nowMs(): number;
}

/**
 * Keeps the memory of a process with very many clients near to what it uses. A buffer that is done with takes its memory until V8 collects garbage, and
 * V8 lets buffers grow by 64 MiB and more before it does. To be called at the start of the process; it lasts as long as that.
 *
 * @param heap default: that of the process
 * @returns `check` looks now, and says in how many milliseconds it looks again by itself
 */
export function collectBuffersEarly(heap: BufferHeap = ownHeap()): { check(): number; stop(): void } {
  let leastBytes = 0;
  let timer: NodeJS.Timeout | undefined;
  const check = () => {
    clearTimeout(timer);
    const bytes = heap.bufferBytes();
    let nextMs = bytes > muchBytes / 2 ? busyCheckMs : calmCheckMs;
    leastBytes = Math.min(leastBytes, bytes);
    if (bytes > Math.max(muchBytes, leastBytes + growthBytes)) {
      const startMs = heap.nowMs();
      heap.collect();
      // As long as that took: at most half of the time goes into it, however large the heap.
      nextMs = Math.max(nextMs, heap.nowMs() - startMs);
      leastBytes = heap.bufferBytes();
    }
    timer = setTimeout(check, nextMs).unref();
    return nextMs;
  };
  check();
  return { check, stop: () => clearTimeout(timer) };
}

function ownHeap(): BufferHeap {
  const collect = findCollector();
  return { bufferBytes: () => getHeapStatistics().external_memory, collect, nowMs: () => performance.now() };
}
