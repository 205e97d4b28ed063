import assert from "node:assert/strict";
import fs, { type FileHandle, open, readdir, truncate } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import path from "node:path";
import { crc32c } from "@node-rs/crc32";
import { patterned } from "../test-support/queue-fixtures.js";
import { withTempFolder } from "../test-support/temp-folder.js";
import { FlushFailed } from "./flush-failed.js";
import type { Piece } from "./piece.js";
import { Spool } from "./spool.js";
import { SpoolFile } from "./spool-file.js";

const pieceBytes = 1_000;

function piece(offset: number, length = pieceBytes): Piece {
  const data = patterned(offset, length);
  return { offset, length, crc32c: crc32c(data), data, raw: undefined, written: false };
}

/** A spool file of ten pieces. */
async function written(file: string): Promise<void> {
  const spool = new SpoolFile(file);
  await spool.append(Array.from({ length: 10 }, (_, at) => piece(at * pieceBytes)));
  await spool.flush();
  await spool.close();
}

/** How often a file is cut while something runs. */
async function cutsCount(folder: string, run: () => Promise<void>): Promise<number> {
  const some = await open(folder);
  const prototype = Object.getPrototypeOf(some) as FileHandle;
  await some.close();
  const { truncate: cut } = prototype;
  let count = 0;
  prototype.truncate = function (length) {
    count++;
    return cut.call(this, length);
  };
  try {
    await run();
  } finally {
    prototype.truncate = cut;
  }
  return count;
}

/** The names that files lose and the files that are closed while something runs, in their order. */
async function endings(run: () => Promise<void>): Promise<("name lost" | "closed")[]> {
  const { open: opened, rm } = fs;
  const order: ("name lost" | "closed")[] = [];
  fs.open = async (...args) => {
    const handle = await opened(...args);
    const { close } = handle;
    handle.close = async () => {
      order.push("closed");
      await close.call(handle);
    };
    return handle;
  };
  fs.rm = async (...args) => {
    await rm(...args);
    order.push("name lost");
  };
  syncBuiltinESMExports();
  try {
    await run();
  } finally {
    fs.open = opened;
    fs.rm = rm;
    syncBuiltinESMExports();
  }
  return order;
}

async function readBack(spool: SpoolFile, piece: Piece): Promise<Buffer> {
  const data = Buffer.alloc(piece.length);
  await spool.read(piece, data);
  return data;
}

describe("a spool file", () => {
  it("gives back its pieces after a restart, and finds what was damaged", () =>
    withTempFolder(async (folder) => {
      const file = path.join(folder, "1");
      await written(file);
      await truncate(`${file}.part`, 8.5 * pieceBytes);
      const left = SpoolFile.piecesAt(file);
      assert.equal(left.length, 8);
      const spool = new SpoolFile(file, left.length);
      assert.deepEqual(await readBack(spool, left[7] as Piece), patterned(7 * pieceBytes, pieceBytes));
      await assert.rejects(readBack(spool, piece(8 * pieceBytes)), /damaged/);
      await spool.close();
      assert.equal(SpoolFile.piecesAt(file).length, 8, "reading changes nothing");
    }));

  it("takes nothing that a loss of power left behind a torn entry for pieces of its own", () =>
    withTempFolder(async (folder) => {
      const file = path.join(folder, "1");
      await written(file);
      const index = await open(`${file}.index`, "r+");
      await index.write(Buffer.alloc(8), 0, 8, 4 * 8);
      await index.close();
      const left = SpoolFile.piecesAt(file);
      assert.equal(left.length, 4);
      const spool = new SpoolFile(file, left.length);
      // A client that goes on may cut the rest otherwise.
      await spool.append([piece(4 * pieceBytes, 300)]);
      await spool.close();
      const pieces = SpoolFile.piecesAt(file);
      assert.deepEqual(
        pieces.map(({ offset, length }) => [offset, length]),
        [...Array.from({ length: 4 }, (_, at) => [at * pieceBytes, pieceBytes]), [4 * pieceBytes, 300]],
      );
      const again = new SpoolFile(file, pieces.length);
      for (const { offset, length, ...rest } of pieces) {
        assert.deepEqual(await readBack(again, { offset, length, ...rest }), patterned(offset, length));
      }
      await again.close();
    }));

  it("ends before an entry that is longer than a piece can be, as a damaged one may say", () =>
    withTempFolder(async (folder) => {
      const file = path.join(folder, "1");
      await written(file);
      await truncate(`${file}.part`, 3 * 1024 ** 3);
      const index = await open(`${file}.index`, "r+");
      await index.write(Buffer.from([0, 0, 0, 0x80]), 0, 4, 4 * 8);
      await index.close();
      assert.equal(SpoolFile.piecesAt(file).length, 4);
    }));

  it("is not cut while it is empty, which would let ext4 write all of it to disk when it is closed", () =>
    withTempFolder(async (folder) => {
      assert.equal(await cutsCount(folder, () => written(path.join(folder, "1"))), 0);
    }));

  it("loses its names before it is closed, since what is closed with a name may be written to disk then", () =>
    withTempFolder(async (folder) => {
      const order = await endings(async () => {
        const spool = new SpoolFile(path.join(folder, "1"));
        await spool.append([piece(0)]);
        await spool.remove();
      });
      assert.deepEqual(order, ["name lost", "name lost", "closed", "closed"]);
    }));

  it("leaves nothing behind when it is removed while it is being opened", () =>
    withTempFolder(async (folder) => {
      const spool = new SpoolFile(path.join(folder, "1"));
      const appending = spool.append([piece(0)]).catch(() => {});
      await spool.remove();
      await appending;
      assert.deepEqual(await readdir(folder), []);
    }));

  it("is flushed together with its folder, and a failed flush is told once to whoever must know", () =>
    withTempFolder(async (folder) => {
      const broken: Error[] = [];
      const spool = new Spool(folder, { maxMemoryBytes: 1 }, (error) => broken.push(error));
      const file = new SpoolFile(spool.pathOf(1n));
      await file.append([piece(0)]);
      await spool.flush(file);
      assert.deepEqual(broken, []);
      const failed = new FlushFailed("a flush to disk failed");
      file.flush = () => Promise.reject(failed);
      await assert.rejects(spool.flush(file), failed);
      // That it cannot be opened is another matter: nothing has been flushed, and nothing has been lost.
      file.flush = () => Promise.reject(new Error("too many open files"));
      await assert.rejects(spool.flush(file), /too many/);
      assert.deepEqual(broken, [failed]);
      await file.close();
    }));
});
