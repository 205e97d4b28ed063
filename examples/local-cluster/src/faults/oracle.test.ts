import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { isClean, Oracle } from "./oracle.js";

describe("the oracle of the fault tests finds what is planted", () => {
  const bytes = Buffer.from("the bytes of a file");
  let folder: string;
  let dirs: [string, string];
  let oracle: Oracle;
  let stored: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "bilancia-oracle-"));
    dirs = [path.join(folder, "storage-1"), path.join(folder, "storage-2")];
    for (const dir of dirs) mkdirSync(dir);
    oracle = new Oracle(path.join(folder, "acknowledged.jsonl"));
    oracle.sending("a.bin", bytes);
    oracle.acknowledged("a.bin", "an id");
    stored = path.join(dirs[0], "1_a.bin");
    writeFileSync(stored, bytes);
  });
  afterEach(() => {
    oracle.close();
    rmSync(folder, { recursive: true });
  });

  it("nothing, where nothing is wrong", async () => {
    oracle.sending("not acknowledged.bin", bytes);
    assert.ok(isClean(await oracle.examine(dirs)));
  });

  it("a missing file", async () => {
    rmSync(stored);
    assert.deepEqual((await oracle.examine(dirs)).lost, ["a.bin"]);
  });

  it("a file that is there twice: on two servers, or under two numbers on one", async () => {
    copyFileSync(stored, path.join(dirs[1], "1_a.bin"));
    assert.deepEqual((await oracle.examine(dirs)).twice, ["a.bin"]);
    rmSync(path.join(dirs[1], "1_a.bin"));
    copyFileSync(stored, path.join(dirs[0], "2_a.bin"));
    assert.deepEqual((await oracle.examine(dirs)).twice, ["a.bin"]);
  });

  it("a second copy of a file that was never acknowledged", async () => {
    oracle.sending("b.bin", bytes);
    for (const dir of dirs) writeFileSync(path.join(dir, "3_b.bin"), bytes);
    assert.deepEqual((await oracle.examine(dirs)).twice, ["b.bin"]);
  });

  it("a damaged file of the right length, also one that was whole before", async () => {
    assert.ok(isClean(await oracle.examine(dirs)));
    writeFileSync(stored, Buffer.from(bytes).fill(0, 3, 4));
    assert.deepEqual((await oracle.examine(dirs, true)).corrupt, ["a.bin"]);
  });

  it("a part of a file under its final name", async () => {
    truncateSync(stored, 4);
    assert.deepEqual((await oracle.examine(dirs)).corrupt, ["a.bin"]);
  });

  it("a file that nobody sent", async () => {
    writeFileSync(path.join(dirs[0], "4_c.bin"), bytes);
    assert.deepEqual((await oracle.examine(dirs)).unknown, ["c.bin"]);
  });
});
