import assert from "node:assert/strict";
import { getHeapStatistics } from "node:v8";
import { eventually } from "@bilancia/proto/testing/eventually";
import { collectBuffersEarly } from "./buffer-collection.js";

const mebibyte = 1024 ** 2;

/** A heap with some buffers in use and some that are garbage, in MiB, which takes some milliseconds to be collected. */
function heapOf(usedMiB: number, collectionMs = 0) {
  const heap = { usedMiB, garbageMiB: 0, collections: 0, nowMs: 0 };
  const collection = collectBuffersEarly({
    bufferBytes: () => (heap.usedMiB + heap.garbageMiB) * mebibyte,
    collect: () => {
      heap.garbageMiB = 0;
      heap.collections++;
      heap.nowMs += collectionMs;
    },
    nowMs: () => heap.nowMs,
  });
  const grow = (toMiB: number) => {
    heap.garbageMiB = toMiB - heap.usedMiB;
    return collection.check();
  };
  return { heap, grow, stop: collection.stop };
}

describe("early collection of buffers", () => {
  it("leaves what a few clients need to V8", () => {
    const { heap, grow, stop } = heapOf(20);
    for (const size of [60, 100, 128]) grow(size);
    stop();
    assert.equal(heap.collections, 0);
  });

  it("collects each time they have grown by 32 MiB, however much is in use", () => {
    const { heap, grow, stop } = heapOf(120);
    grow(129);
    assert.equal(heap.collections, 1);
    grow(152);
    assert.equal(heap.collections, 1, "32 MiB on top of what is in use are let grow");
    grow(153);
    assert.equal(heap.collections, 2);
    // Files that are kept in memory on purpose are no garbage: nothing is gained by looking for it again and again.
    heap.usedMiB = 1_000;
    grow(1_000);
    for (let size = 1_001; size <= 1_032; size++) grow(size);
    assert.equal(heap.collections, 3);
    stop();
  });

  it("goes by the least that was in use since", () => {
    const { heap, grow, stop } = heapOf(500);
    grow(500);
    heap.usedMiB = 110;
    grow(110);
    grow(141);
    assert.equal(heap.collections, 1);
    grow(143);
    assert.equal(heap.collections, 2);
    stop();
  });

  it("looks more often while there are many, and takes at most half of the time however long a collection takes", () => {
    const { heap, grow, stop } = heapOf(20, 200);
    assert.equal(grow(60), 250);
    assert.equal(grow(100), 25);
    assert.equal(grow(129), 200);
    assert.equal(heap.collections, 1);
    stop();
  });

  it("reaches the collector of this process", async () => {
    const before = getHeapStatistics().external_memory;
    Buffer.alloc(200 * mebibyte);
    collectBuffersEarly().stop();
    await eventually("the buffer to be gone", () => {
      // What has been freed is counted when the next buffer is made.
      Buffer.allocUnsafeSlow(1);
      return getHeapStatistics().external_memory < before + 100 * mebibyte;
    });
  });
});
