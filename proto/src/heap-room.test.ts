import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { giveHeapRoom, ownHeap } from "./heap-room.js";

const mebibyte = 1024 ** 2;

/** A heap that says how large it is, in a process with so many connections, and takes down the flags it is given. */
function heapOf(sizeBytes: number, socketsCount: number) {
  const heap = { sizeBytes, socketsCount, flags: [] as string[] };
  const room = giveHeapRoom({
    heapBytes: () => heap.sizeBytes,
    socketsCount: () => heap.socketsCount,
    setFlag: (flag) => void heap.flags.push(flag),
  });
  return { heap, room };
}

describe("room for the heap", () => {
  it("is given to a small heap, taken back when the heap is large, and given again, once each time", () => {
    const { heap, room } = heapOf(20 * mebibyte, 1_000);
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
    const { heap, room } = heapOf(33 * mebibyte, 101);
    room.stop();
    assert.deepEqual(heap.flags, []);
  });

  it("is given to a larger one where few connections are open, up to a size", () => {
    const { heap, room } = heapOf(48 * mebibyte, 100);
    heap.sizeBytes = 49 * mebibyte;
    room.check();
    heap.sizeBytes = 48 * mebibyte;
    room.check();
    heap.socketsCount = 101;
    room.check();
    room.stop();
    const [given, taken] = ["--heap-growing-percent=300", "--heap-growing-percent=0"];
    assert.deepEqual(heap.flags, [given, taken, given, taken]);
  });

  it("counts the connections that Node has", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const before = ownHeap.socketsCount();
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    await once(server, "connection");
    assert.equal(ownHeap.socketsCount(), before + 2);
    socket.destroy();
    server.close();
  });

  it("goes by a flag that V8 has", () => {
    const flags = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8" });
    assert.match(flags, /^ +--heap-growing-percent \(/m);
  });
});
