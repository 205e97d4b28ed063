import assert from "node:assert/strict";
import fs, { mkdtempSync, rmSync, statSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { open } from "lmdb";
import { DiskFull, FileRoom } from "./file-room.js";

describe("the room in LMDB's file", () => {
  it("keeps the file longer than LMDB has used of it, by what is under way and more", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "bilancia-room-"));
    const root = open<Buffer, Buffer>({ path: folder, encoding: "binary", keyEncoding: "binary" });
    const sizeBytes = () => statSync(path.join(folder, "data.mdb")).size;
    const room = new FileRoom(root, folder);
    let takenBytes = 0;
    for (let count = 0; count < 200; count++) {
      room.take(64 * 1024, false);
      takenBytes += 64 * 1024;
      assert.ok(sizeBytes() > takenBytes);
    }
    // What LMDB finds behind its own pages does not disturb it.
    await root.put(Buffer.from("key"), Buffer.alloc(300_000, 1));
    assert.equal(root.get(Buffer.from("key"))?.length, 300_000);
    await root.close();
    rmSync(folder, { recursive: true });
  });

  it("takes no burst for a full disk: what is committed counts twice until its writers know", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "bilancia-room-"));
    const root = open<Buffer, Buffer>({ path: folder, encoding: "binary", keyEncoding: "binary" });
    const room = new FileRoom(root, folder);
    const bytes = 32 * 1024 * 1024;
    const written = room.take(bytes, false);
    await root.put(Buffer.from("key"), Buffer.alloc(bytes, 1));
    room.take(100, false)();
    written();
    await root.close();
    rmSync(folder, { recursive: true });
  });

  it("is used up, and refuses what does not fit, while there is no handle to make more", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "bilancia-room-"));
    const root = open<Buffer, Buffer>({ path: folder, encoding: "binary", keyEncoding: "binary" });
    const room = new FileRoom(root, folder);
    room.take(100, false)();
    const { openSync } = fs;
    const useUp = () => {
      for (;;) room.take(64 * 1024, false);
    };
    try {
      Object.assign(fs, {
        openSync: () => {
          throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
        },
      });
      syncBuiltinESMExports();
      assert.throws(useUp, DiskFull);
    } finally {
      Object.assign(fs, { openSync });
      syncBuiltinESMExports();
    }
    room.take(64 * 1024, false);
    await root.close();
    rmSync(folder, { recursive: true });
  });
});
