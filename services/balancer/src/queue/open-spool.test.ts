import assert from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { withTempFolder } from "../test-support/temp-folder.js";
import { openSpool } from "./open-spool.js";

const limits = { maxMemoryBytes: 1024 };

/** A state folder with the files of an upload in a folder of its, and with a ledger where that is said. */
async function leave(stateDir: string, folder: string, withLedger: boolean): Promise<void> {
  await mkdir(path.join(stateDir, folder), { recursive: true });
  for (const name of ["7.part", "7.index"]) await writeFile(path.join(stateDir, folder, name), "bytes");
  if (withLedger) await mkdir(path.join(stateDir, "ledger"));
}

describe("opening the spool of a memory queue", () => {
  it("is refused where an embedded queue still has files, which stay", () =>
    withTempFolder(async (stateDir) => {
      await leave(stateDir, "spool", true);
      await assert.rejects(openSpool(stateDir, false, limits), ({ message }: Error) => {
        assert.ok(message.startsWith(`${path.join(stateDir, "spool")} has files of an embedded queue (uploads: 1)`));
        assert.match(message, /queue: embedded until they are gone .*or with another stateDir[.]$/);
        return true;
      });
      const { spool } = await openSpool(stateDir, true, limits);
      assert.deepEqual(await spool.numbers(), [7n]);
      spool.close();
    }));

  it("removes what an earlier memory queue left, also where an embedded one was used before that", () =>
    withTempFolder(async (stateDir) => {
      await leave(stateDir, "spool/memory", true);
      const { spool, removedFiles } = await openSpool(stateDir, false, limits);
      spool.close();
      assert.equal(removedFiles, 1);
      assert.deepEqual(await readdir(path.join(stateDir, "spool/memory")), []);
      assert.ok(spool.pathOf(8n).startsWith(path.join(stateDir, "spool/memory")));
    }));

  it("removes what lies there where no embedded queue was ever used", () =>
    withTempFolder(async (stateDir) => {
      await leave(stateDir, "spool", false);
      const { spool, removedFiles } = await openSpool(stateDir, false, limits);
      spool.close();
      assert.equal(removedFiles, 1);
      assert.deepEqual(await readdir(path.join(stateDir, "spool")), ["memory"]);
    }));
});
