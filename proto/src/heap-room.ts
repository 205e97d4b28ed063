import { getHeapStatistics, setFlagsFromString } from "node:v8";

/** A heap up to this size has room, in bytes. Above, V8 decides, and memory is what counts. */
const roomyHeapBytes = 32 * 1024 * 1024;
/** The same where few connections are open: a process that has worked for a while has some more than 32 MiB, one with a thousand connections 40 to 45. */
const roomyHeapOfFewBytes = 48 * 1024 * 1024;
const fewSocketsCount = 100;
/** By how much such a heap may grow from one marking to the next, in percent: four times its size is the most that V8 gives by itself. */
const growthPercent = 300;
const checkMs = 1_000;

/** Where V8's flags can be set: tests watch it. */
export interface HeapSettings {
  heapBytes(): number;
  /** How many connections are open. */
  socketsCount(): number;
  setFlag(flag: string): void;
}

/** Those of this process. */
export const ownHeap: HeapSettings = {
  heapBytes: () => getHeapStatistics().used_heap_size,
  socketsCount: () => process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length,
  setFlag: setFlagsFromString,
};

/**
 * Lets a small heap grow to four times its size before V8 marks all of it again. V8 counts the bytes of buffers that have lived a little, and its
 * own choice is as little as 20 MiB: a process through which file data passes would mark all of its heap for each 20 MiB of a file. To be called at the
 * start of such a process; it lasts as long as that.
 *
 * @param heap default: that of the process
 */
export function giveHeapRoom(heap: HeapSettings = ownHeap): { check(): void; stop(): void } {
  let hasRoom = false;
  const check = () => {
    const bytes = heap.heapBytes();
    const isSmall = bytes <= roomyHeapBytes || (bytes <= roomyHeapOfFewBytes && heap.socketsCount() <= fewSocketsCount);
    if (isSmall === hasRoom) return;
    hasRoom = isSmall;
    // 0 leaves it to V8. The flag counts from the next marking on.
    heap.setFlag(`--heap-growing-percent=${isSmall ? growthPercent : 0}`);
  };
  check();
  const timer = setInterval(check, checkMs).unref();
  return { check, stop: () => clearInterval(timer) };
}
