import assert from "node:assert/strict";
import { open, truncate } from "node:fs/promises";
import path from "node:path";
import { crc32c } from "@node-rs/crc32";
import { patterned } from "../test-support/queue-fixtures.js";
import { withTempFolder } from "../test-support/temp-folder.js";
import type { Piece } from "./piece.js";
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

describe("a spool file", () => {
  it("gives back its pieces after a restart, and finds what was damaged", () =>
    withTempFolder(async (folder) => {
      const file = path.join(folder, "1");
      await written(file);
      await truncate(`${file}.part`, 8.5 * pieceBytes);
      const left = SpoolFile.piecesAt(file);
      assert.equal(left.length, 8);
      const spool = new SpoolFile(file, left.length);
      assert.deepEqual(await spool.read(left[7] as Piece), patterned(7 * pieceBytes, pieceBytes));
      await assert.rejects(spool.read(piece(8 * pieceBytes)), /damaged/);
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
        assert.deepEqual(await again.read({ offset, length, ...rest }), patterned(offset, length));
      }
      await again.close();
    }));
});
