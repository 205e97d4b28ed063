import assert from "node:assert/strict";
import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { eventually } from "@bilancia/proto/testing/eventually";
import { withTempFolder } from "../test-support/temp-folder.js";
import { Numbering } from "./numbering.js";

const take = (numbering: Numbering, count: number) =>
  Array.from({ length: count }, () => numbering.next()).filter((number) => number !== undefined);

/** Some bytes with a bit of each of them wrong in turn, and with another. */
function* flipped(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at++)
    for (const bit of [at % 8, (at + 3) % 8]) {
      const harmed = Buffer.from(bytes);
      harmed[at] = (harmed[at] ?? 0) ^ (1 << bit);
      yield harmed;
    }
}

describe("Numbering", () => {
  it("begins at 1, and goes on without a gap after a proper close", () =>
    withTempFolder(async (folder) => {
      const first = await Numbering.open(folder);
      assert.equal(first.last, 0n);
      assert.deepEqual(take(first, 3), [1n, 2n, 3n]);
      await first.close();
      const second = await Numbering.open(folder);
      assert.equal(second.last, 3n);
      assert.deepEqual(take(second, 2), [4n, 5n]);
      await second.close();
    }));

  it("keeps its origin, and counts its starts, crash or not", () =>
    withTempFolder(async (folder) => {
      const first = await Numbering.open(folder);
      assert.match(first.origin, /^[0-9a-f]{32}$/);
      assert.equal(first.term, 1);
      const second = await Numbering.open(folder);
      assert.equal(second.origin, first.origin);
      assert.equal(second.term, 2);
      await second.close();
      assert.equal((await Numbering.open(folder)).term, 3);
    }));

  it("never gives a number twice, however often it crashes", () =>
    withTempFolder(async (folder) => {
      let highest = 0n;
      for (let crash = 0; crash < 10; crash++) {
        const numbering = await Numbering.open(folder);
        for (const number of take(numbering, 10 ** (crash % 4))) {
          assert.ok(number > highest, `${number} after ${highest}`);
          highest = number;
        }
        // No close: the process is gone.
      }
    }));

  it("has every number it gives reserved on disk before", () =>
    withTempFolder(async (folder) => {
      const numbering = await Numbering.open(folder);
      const reserved = async () =>
        BigInt(JSON.parse(await readFile(path.join(folder, "numbering.json"), "utf8")).reservedUpTo);
      for (let block = 0; block < 3; block++) {
        const upTo = await reserved();
        while (numbering.last < upTo - 10n) {
          // The file is on disk a moment before the numbering hears of it.
          if (numbering.next() === undefined) await nextTurn();
        }
        assert.ok(numbering.last <= (await reserved()));
        await eventually("the next block to be reserved", async () => (await reserved()) > upTo);
      }
      await numbering.close();
      assert.equal(await reserved(), numbering.last);
    }));

  it("gives no number that is not reserved, and the next ones a moment later", () =>
    withTempFolder(async (folder) => {
      const numbering = await Numbering.open(folder);
      // One turn of the event loop: no write can end in between.
      assert.equal(take(numbering, 100_100).length, 100_000);
      await eventually("the next block to be reserved", () => numbering.next() === 100_001n);
      await numbering.close();
    }));

  it("reserves more at a time where many are wanted", () =>
    withTempFolder(async (folder) => {
      const numbering = await Numbering.open(folder);
      let mostAtOnce = 0;
      await eventually("a larger block", () => {
        mostAtOnce = Math.max(mostAtOnce, take(numbering, 500_000).length);
        return mostAtOnce === 500_000;
      });
      await numbering.close();
    }));

  it("says that the state folder cannot be written where that is so, and goes on once it can be", () =>
    withTempFolder(async (folder) => {
      const stateDir = path.join(folder, "state");
      const moved = path.join(folder, "moved");
      const numbering = await Numbering.open(stateDir);
      await rename(stateDir, moved);
      take(numbering, 100_000);
      await eventually("an error", () => {
        try {
          return numbering.next() !== undefined;
        } catch (error) {
          assert.match(String(error), /no request number is reserved; the state folder cannot be written/);
          return true;
        }
      });
      assert.equal(numbering.last, 100_000n);
      await rename(moved, stateDir);
      await eventually("the next block to be reserved", () => {
        try {
          return numbering.next() === 100_001n;
        } catch {
          return false;
        }
      });
      await numbering.close();
    }));

  const origin = "00112233445566778899aabbccddeeff";
  const files = ["numbering.json", "numbering-copy.json"];

  /** Gives out three numbers, and is gone. */
  async function begun(folder: string): Promise<{ origin: string; term: number }> {
    const numbering = await Numbering.open(folder);
    take(numbering, 3);
    return numbering;
  }

  for (const file of files) {
    it(`goes on without ${file}, and without what is wrong in it, byte by byte; and gives no number twice`, () =>
      withTempFolder(async (folder) => {
        const before = await begun(folder);
        const intact = await readFile(path.join(folder, file));
        for (const harmed of [undefined, ...flipped(intact)]) {
          for (const name of files) await writeFile(path.join(folder, name), intact);
          if (harmed) await writeFile(path.join(folder, file), harmed);
          else await rm(path.join(folder, file));
          const after = await Numbering.open(folder);
          const what = String(harmed);
          assert.equal(after.origin, before.origin, what);
          assert.ok(after.term > before.term, what);
          assert.ok(after.last >= 100_000n, what);
          assert.deepEqual(
            await readFile(path.join(folder, files[0] ?? "")),
            await readFile(path.join(folder, files[1] ?? "")),
          );
          const aside = (await readdir(folder)).filter((name) => name.startsWith(`${file}.damaged-`));
          assert.equal(after.problems.length, aside.length + (harmed || file !== "numbering.json" ? 0 : 1), what);
          for (const name of aside) {
            assert.deepEqual(await readFile(path.join(folder, name)), harmed);
            await rm(path.join(folder, name));
          }
        }
      }));
  }

  it("takes numbers that were raised by hand in one of its files", () =>
    withTempFolder(async (folder) => {
      await begun(folder);
      const file = path.join(folder, "numbering.json");
      const kept = JSON.parse(await readFile(file, "utf8"));
      await writeFile(file, JSON.stringify({ ...kept, term: 1_000, reservedUpTo: "5000000" }));
      const numbering = await Numbering.open(folder);
      assert.deepEqual([numbering.term, numbering.last], [1_001, 5_000_000n]);
      assert.deepEqual(numbering.problems, []);
    }));

  it("takes the file of an earlier version, which has neither checksum nor copy", () =>
    withTempFolder(async (folder) => {
      await writeFile(path.join(folder, "numbering.json"), JSON.stringify({ origin, term: 7, reservedUpTo: "500" }));
      const numbering = await Numbering.open(folder);
      assert.deepEqual([numbering.origin, numbering.term, numbering.last], [origin, 8, 500n]);
      assert.deepEqual(numbering.problems, []);
    }));

  it("goes by numbering.json where its copy is of another origin, and keeps that", () =>
    withTempFolder(async (folder) => {
      const before = await begun(folder);
      await writeFile(
        path.join(folder, "numbering-copy.json"),
        JSON.stringify({ origin, term: 70, reservedUpTo: "5" }),
      );
      const after = await Numbering.open(folder);
      assert.deepEqual([after.origin, after.term], [before.origin, before.term + 1]);
      assert.match(after.problems.join(), /numbering-copy\.json was of another origin; it is now .*damaged-\d+$/);
      assert.deepEqual((await Numbering.open(folder)).problems, []);
    }));

  it("goes on after a number that others know of", () =>
    withTempFolder(async (folder) => {
      const numbering = await Numbering.open(folder);
      assert.equal(await numbering.skipTo(0n), false);
      assert.equal(await numbering.skipTo(250_000n), true);
      assert.equal(numbering.next(), 250_001n);
      assert.equal((await Numbering.open(folder)).last, 350_000n);
    }));

  for (const [what, text] of [
    ["empty", ""],
    ["cut short", '{"origin":"00112233445566778899aabbccddeeff","term":1,"reser'],
    ["of another shape", "[]"],
    ["null", "null"],
    ["without the number", '{"origin":"00112233445566778899aabbccddeeff","term":1}'],
    ["with a bad origin", '{"origin":"xyz","term":1,"reservedUpTo":"5"}'],
    ["with a negative number", '{"origin":"00112233445566778899aabbccddeeff","term":1,"reservedUpTo":"-5"}'],
  ]) {
    it(`refuses a file that is ${what}, and says what to do`, () =>
      withTempFolder(async (folder) => {
        await writeFile(path.join(folder, "numbering.json"), text ?? "");
        await assert.rejects(
          Numbering.open(folder),
          /numbering\.json is damaged or missing, and its copy is not whole: expected .*Restore it from a backup/,
        );
        assert.equal(await readFile(path.join(folder, "numbering.json"), "utf8"), text);
      }));
  }
});
