import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { makeFolder } from "./folder.js";

describe("a folder", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(path.join(tmpdir(), "bilancia-folder-"));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it("is made with those above it, of which each that was there already is flushed after it", async () => {
    const synced: string[] = [];
    const sync = async (folder: string) => {
      synced.push(path.relative(root, folder));
    };
    await makeFolder(path.join(root, "a", "b", "c"), sync);
    assert.deepEqual(synced, ["", "a", "a/b"]);
    await makeFolder(path.join(root, "a", "b", "c"), sync);
    assert.equal(synced.length, 3);
  });

  it("is made once, whoever else makes it at the same time", async () => {
    await Promise.all(Array.from({ length: 20 }, () => makeFolder(path.join(root, "a", "b", "c"))));
    assert.ok(existsSync(path.join(root, "a", "b", "c")));
  });

  it("is not made where a file is in its place, or above it", async () => {
    writeFileSync(path.join(root, "file"), "");
    await assert.rejects(makeFolder(path.join(root, "file")), { code: "EEXIST" });
    await assert.rejects(makeFolder(path.join(root, "file", "below")), { code: "ENOTDIR" });
  });

  it("is not tried for ever where none can be made", async function () {
    if (process.platform !== "linux") return;
    this.timeout(5_000);
    await assert.rejects(makeFolder("/proc/bilancia/below"), { code: "ENOENT" });
  });

  it("is refused to a process whose own folder is gone", () => {
    const gone = path.join(root, "gone");
    mkdirSync(gone);
    const program = path.join(root, "program.mjs");
    writeFileSync(
      program,
      `import { makeFolder } from ${JSON.stringify(new URL("./folder.js", import.meta.url))};
      await makeFolder("below").catch(({ code }) => console.log(code));`,
    );
    const command = ["-c", 'rmdir "$1" && exec "$2" "$3"', "sh", gone, process.execPath, program];
    const { stdout } = spawnSync("sh", command, { cwd: gone, encoding: "utf8", timeout: 10_000 });
    assert.equal(stdout, "ENOENT\n");
  });
});
