import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { syncFiles } from "./file-sync.js";

describe("flush of many files", () => {
  const paths = Array.from({ length: 600 }, (_, at) => `/file/${at}`);
  const flushNothing = async () => assert.fail("nothing is to be flushed by itself");

  it("flushes the file system at once, by a folder that stays open, since only who has something open hears of an error", async () => {
    const flushed: number[] = [];
    const syncAll = async (file: number) => {
      flushed.push(file);
      return 0;
    };
    await syncFiles(tmpdir(), [], flushNothing, syncAll);
    await syncFiles(tmpdir(), paths, flushNothing, syncAll);
    assert.equal(flushed.length, 2);
    assert.equal(flushed[0], flushed[1]);
  });

  it("fails when the file system could not be flushed", async () => {
    await assert.rejects(
      syncFiles(tmpdir(), paths, flushNothing, async () => -1),
      /could not be flushed/,
    );
  });

  it("flushes each file where the file system cannot be flushed at once, and the folder after them", async () => {
    const flushed: string[] = [];
    const flush = async (some: readonly string[]) => {
      flushed.push(...some);
    };
    await syncFiles(tmpdir(), paths, flush, null);
    assert.deepEqual(flushed, [...paths, tmpdir()]);
  });

  if (process.platform === "linux")
    it("can flush the file system at once on Linux", async () => {
      await syncFiles(tmpdir(), paths, flushNothing);
    });
});
