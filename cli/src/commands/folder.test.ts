import assert from "node:assert/strict";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tempFolder } from "../testing/temp-folder.js";
import { type FolderFile, walkFolder } from "./folder.js";

/** Nobody's number, who may read what all may. */
const nobody = 65534;

describe("walkFolder", () => {
  it("says of a folder in it that it may not read: permission denied", async () => {
    const folder = await tempFolder({ "a.txt": "a" });
    const locked = join(folder.path, "locked");
    try {
      await mkdir(locked);
      await writeFile(join(locked, "b.txt"), "b");
      await chmod(folder.path, 0o755);
      await chmod(locked, 0);
      const found: FolderFile[] = [];
      const isRoot = process.getuid?.() === 0;
      // To root nothing is forbidden.
      if (isRoot) process.seteuid?.(nobody);
      try {
        for await (const file of walkFolder(folder.path)) found.push(file);
      } finally {
        if (isRoot) process.seteuid?.(0);
      }
      assert.deepEqual(found, [
        { name: "a.txt", path: join(folder.path, "a.txt"), sizeBytes: 1 },
        { name: "locked", path: locked, sizeBytes: 0, problem: "permission denied" },
      ]);
    } finally {
      await chmod(locked, 0o755);
      await folder.remove();
    }
  });
});
