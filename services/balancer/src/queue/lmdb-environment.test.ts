import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { platform } from "node:os";
import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { withTempFolder } from "../test-support/temp-folder.js";
import { FlushFailed } from "./flush-failed.js";
import { LmdbEnvironment } from "./lmdb-environment.js";

const mebibyte = 1024 * 1024;
const maxMappedBytes = 4 * mebibyte;
const recordsCount = 20_000;
const recordBytes = 2_000;
const key = (number: number) => Buffer.from(String(number).padStart(8, "0"));

/** What the process has resident of mapped files, in bytes. */
const residentFileBytes = () =>
  1024 * Number(/^RssFile:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

describe("the ledger's environment", () => {
  it("keeps little of a large file resident, while others read and write at any moment", () =>
    withTempFolder(async (folder) => {
      const env = new LmdbEnvironment(folder, ["records", "turns"], { maxMappedBytes });
      for (let number = 0; number < recordsCount; ) {
        const written: Promise<void>[] = [];
        for (let end = number + 1_000; number < end; number++) {
          const [own, value] = [key(number), Buffer.alloc(recordBytes, number % 251)];
          written.push(env.write(() => [env.table("records").put(own, value)], { bytes: recordBytes }));
        }
        await Promise.all(written);
      }
      const beforeBytes = platform() === "linux" ? residentFileBytes() : 0;
      let mostBytes = 0;
      let turns = 0;
      const writing: Promise<void>[] = [];
      for (let number = 0; number < recordsCount; number++) {
        assert.deepEqual(env.table("records").get(key(number)), Buffer.alloc(recordBytes, number % 251));
        if (number % 20 !== 0) continue;
        const latest = Buffer.from(String(++turns));
        writing.push(env.write(() => [env.table("turns").put(key(0), latest)]));
        await turn();
        if (platform() === "linux") mostBytes = Math.max(mostBytes, residentFileBytes() - beforeBytes);
      }
      await Promise.all(writing);
      assert.equal(String(env.table("turns").get(key(0))), String(turns), "the last write wins");
      await env.close();
      const fileBytes = statSync(path.join(folder, "data.mdb")).size;
      assert.ok(fileBytes > 40 * mebibyte);
      assert.ok(mostBytes < fileBytes / 2, `${mostBytes} of ${fileBytes} bytes were resident`);
    }));

  it("refuses to write once it is closed", () =>
    withTempFolder(async (folder) => {
      const env = new LmdbEnvironment(folder, ["records"]);
      await env.close();
      await assert.rejects(
        env.write(() => []),
        /closed/,
      );
    }));

  it("writes nothing more once its file could not be written, and says so once", () =>
    withTempFolder(async (folder) => {
      const broken: FlushFailed[] = [];
      const env = new LmdbEnvironment(folder, ["records"], { onBroken: (error) => broken.push(error) });
      // The room at the end of the file is made before the first write.
      await unlink(path.join(folder, "data.mdb"));
      for (const _ of [1, 2]) {
        await assert.rejects(
          env.write(() => [env.table("records").put(key(1), Buffer.from("1"))]),
          FlushFailed,
        );
      }
      assert.deepEqual(
        broken.map(({ cause }) => (cause as NodeJS.ErrnoException).code),
        ["ENOENT"],
      );
      await env.close();
    }));
});
