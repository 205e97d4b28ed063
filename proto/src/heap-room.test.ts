import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { giveHeapRoom } from "./heap-room.js";

const mebibyte = 1024 ** 2;

/** A heap that says how large it is, and takes down the flags it is given. */
function heapOf(sizeBytes: number) {
  const heap = { sizeBytes, flags: [] as string[] };
  const settings = { heapBytes: () => heap.sizeBytes, setFlag: (flag: string) => void heap.flags.push(flag) };
  return { heap, room: giveHeapRoom(settings) };
}

describe("room for the heap", () => {
  it("is given to a small heap, taken back when the heap is large, and given again, once each time", () => {
    const { heap, room } = heapOf(20 * mebibyte);
    room.check();
    heap.sizeBytes = 33 * mebibyte;
    room.check();
    room.check();
    heap.sizeBytes = 32 * mebibyte;
    room.check();
    room.stop();
    const [given, taken] = ["--heap-growing-percent=300", "--heap-growing-percent=0"];
    assert.deepEqual(heap.flags, [given, taken, given]);
  });

  it("is not given to a heap that is large from the start", () => {
    const { heap, room } = heapOf(33 * mebibyte);
    room.stop();
    assert.deepEqual(heap.flags, []);
  });

  it("goes by a flag that V8 has", () => {
    const flags = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8" });
    assert.match(flags, /^ +--heap-growing-percent \(/m);
  });
});
