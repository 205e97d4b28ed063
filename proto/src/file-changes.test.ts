import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { FileChanges, fingerprint } from "./file-changes.js";
import { eventually } from "./testing/eventually.js";

const quietMs = 400;

describe("changes of a file", () => {
  let folder: string;
  let file: string;
  let changes: FileChanges;
  let told: number;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "bilancia-file-"));
    file = path.join(folder, "bilancia.yaml");
    writeFileSync(file, "one");
    told = 0;
    changes = new FileChanges(file, fingerprint(file), () => (told += 1), { lookMs: 10, quietMs });
    changes.start();
  });
  afterEach(() => {
    changes.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const replaced = () => {
    writeFileSync(path.join(folder, "new"), "two");
    renameSync(path.join(folder, "new"), file);
  };
  for (const [what, change] of [
    ["is written in place", () => writeFileSync(file, "two")],
    ["is written with as many bytes", () => writeFileSync(file, "eno")],
    ["is replaced by a rename", replaced],
    ["is removed", () => rmSync(file)],
    [
      "becomes a symbolic link",
      () => {
        writeFileSync(path.join(folder, "other"), "one");
        rmSync(file);
        symlinkSync("other", file);
      },
    ],
  ] as const) {
    it(`are told once when it ${what}`, async () => {
      change();
      await eventually("it is told", () => told === 1);
      await delay(2 * quietMs);
      assert.equal(told, 1);
    });
  }

  it("are not told while it is still being written", async () => {
    let lastMs = performance.now();
    let leftAlone = false;
    for (const endMs = lastMs + 3 * quietMs; lastMs < endMs; lastMs = performance.now()) {
      appendFileSync(file, "more");
      await delay(20);
      // On a machine that kept the writer from writing, the file was left alone.
      leftAlone ||= performance.now() - lastMs > quietMs / 2;
      if (!leftAlone) assert.equal(told, 0);
    }
    await eventually("it is told", () => told > 0);
  });

  it("are told again when it comes back after it was gone", async () => {
    rmSync(file);
    await eventually("it is told", () => told === 1);
    writeFileSync(file, "two");
    await eventually("it is told again", () => told === 2);
  });

  it("are told when it changed between its reading and now, however long that is", async () => {
    changes.stop();
    const known = fingerprint(file);
    writeFileSync(file, "changed in between");
    changes = new FileChanges(file, known, () => (told += 1), { lookMs: 10, quietMs: 20 });
    changes.start();
    await eventually("it is told", () => told === 1);
  });

  it("are not told when nothing has changed", async () => {
    await delay(2 * quietMs);
    assert.equal(told, 0);
  });
});
