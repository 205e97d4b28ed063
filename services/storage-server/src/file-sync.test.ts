import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { syncFiles } from "./file-sync.js";

describe("flush of many files", () => {
  const paths = Array.from({ length: 600 }, (_, at) => `/file/${at}`);

  it("flushes each file, and the directory after them", async () => {
    const flushed: string[] = [];
    await syncFiles(tmpdir(), paths, async (some) => {
      flushed.push(...some);
    });
    assert.deepEqual(flushed, [...paths, tmpdir()]);
  });

  it("fails when one file could not be flushed, whatever the flush of the file system said", async () => {
    const failure = Object.assign(new Error("EIO"), { code: "EIO" });
    const flush = async (some: readonly string[]) => {
      if (some.includes("/file/333")) throw failure;
    };
    await assert.rejects(syncFiles(tmpdir(), paths, flush), failure);
  });
});
