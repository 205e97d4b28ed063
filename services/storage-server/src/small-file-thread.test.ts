import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SmallFileThread } from "./small-file-thread.js";
import { withFolder } from "./testing/test-server.js";

describe("thread for small files", () => {
  it("does what is asked for in one turn: first the writes, then the names, then the flushes, each file with its own bytes and mark", () =>
    withFolder(async (dir) => {
      const thread = new SmallFileThread();
      const numbers = Array.from({ length: 100 }, (_, at) => at);
      const path = (number: number) => join(dir, `temp-${number}`);
      const marks = await Promise.all(
        numbers.map((number) =>
          thread.writeWhole(path(number), [Buffer.from(`${number}`), Buffer.from("x".repeat(number))]),
        ),
      );
      const named = numbers.map((number) => thread.giveName(path(number), join(dir, `${number}`)));
      await Promise.all([...named, thread.flush([dir])]);
      for (const number of numbers) {
        const { size, mtimeNs } = await stat(join(dir, `${number}`), { bigint: true });
        assert.deepEqual(marks[number], { sizeBytes: Number(size), modifiedNs: mtimeNs });
        assert.equal(await readFile(join(dir, `${number}`), "utf8"), `${number}${"x".repeat(number)}`);
        await assert.rejects(stat(path(number)), { code: "ENOENT" });
      }
    }));

  it("overwrites nothing, and tells of each failure by itself", () =>
    withFolder(async (dir) => {
      const thread = new SmallFileThread();
      const taken = join(dir, "taken");
      await writeFile(taken, "another's");
      const [over, missing, fine, named] = await Promise.allSettled([
        thread.writeWhole(taken, [Buffer.from("ours")]),
        thread.writeWhole(join(dir, "no", "folder"), [Buffer.from("ours")]),
        thread.writeWhole(join(dir, "free"), [Buffer.from("ours")]),
        thread.giveName(join(dir, "free"), taken),
      ]);
      assert.equal(over?.status === "rejected" && over.reason.code, "EEXIST");
      assert.equal(missing?.status === "rejected" && missing.reason.code, "ENOENT");
      assert.equal(fine?.status, "fulfilled");
      assert.equal(named?.status === "rejected" && named.reason.code, "EEXIST");
      assert.equal(await readFile(taken, "utf8"), "another's");
      assert.equal(await readFile(join(dir, "free"), "utf8"), "ours");
    }));

  it("counts a file that is gone as flushed", () =>
    withFolder(async (dir) => {
      await new SmallFileThread().flush([join(dir, "gone"), dir]);
    }));
});
