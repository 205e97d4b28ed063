import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, truncate } from "node:fs/promises";
import path from "node:path";
import fc from "fast-check";
import { withTempFolder } from "../test-support/temp-folder.js";
import { DamagedPages, readLedgerPages } from "./ledger-pages.js";
import { LmdbEnvironment } from "./lmdb-environment.js";
import { headerIn, nodeAt, numberAt, type Tree, treeAt, valueFlags } from "./lmdb-format.js";

const tables = ["a", "b"] as const;
const pageBytes = 4096;
const fileIn = (folder: string) => path.join(folder, "data.mdb");

/** One table's write: of so many bytes, or the removal. */
interface Write {
  readonly table: (typeof tables)[number];
  readonly key: number;
  readonly bytes: number | undefined;
}

const write: fc.Arbitrary<Write> = fc.record({
  table: fc.constantFrom(...tables),
  key: fc.nat(400),
  bytes: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 600 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1_900, max: 30_000 }) },
    { weight: 3, arbitrary: fc.constant(undefined) },
  ),
});
const commits = fc.array(fc.array(write, { minLength: 1, maxLength: 150 }), { minLength: 1, maxLength: 12 });

async function work(folder: string, batches: readonly (readonly Write[])[]): Promise<void> {
  const env = new LmdbEnvironment(folder, tables);
  for (const batch of batches) {
    await env.write(() =>
      batch.map(({ table, key, bytes }) => {
        const name = Buffer.from(`key ${key}`);
        return bytes === undefined
          ? env.table(table).remove(name)
          : env.table(table).put(name, Buffer.alloc(bytes, key));
      }),
    );
  }
  await env.close();
}

/** Everything that LMDB finds, as text. */
async function everything(folder: string): Promise<string[]> {
  const env = new LmdbEnvironment(folder, tables);
  const found = tables.flatMap((name) =>
    Array.from(
      env.table(name).getRange(),
      ({ key, value }) => `${name} ${key.toString("hex")} ${value.toString("hex")}`,
    ),
  );
  await env.close();
  return found;
}

/** A file with two levels of pages, large values, and free pages. */
async function filled(folder: string): Promise<Buffer> {
  const put = Array.from(
    { length: 300 },
    (_, key): Write => ({ table: "a", key, bytes: key % 20 === 0 ? 9_000 : 100 }),
  );
  const again = put.filter(({ key }) => key % 3 === 0).map((one): Write => ({ ...one, bytes: 250 }));
  await work(folder, [put, again, [{ table: "b", key: 1, bytes: 10 }]]);
  return readFileSync(fileIn(folder));
}

describe("the pages of the ledger", () => {
  it("are sound whatever was put and removed, in one life or several", function () {
    this.timeout(60_000);
    return fc.assert(
      fc.asyncProperty(fc.array(commits, { minLength: 1, maxLength: 3 }), (lives) =>
        withTempFolder(async (folder) => {
          for (const batches of lives) {
            await work(folder, batches);
            assert.deepEqual(readLedgerPages(fileIn(folder)), { tables: [...tables], hasBothHeaders: true });
          }
        }),
      ),
      { numRuns: 40 },
    );
  });

  it("with a wrong bit are refused, or LMDB finds all in them but what it is in, and can go on", function () {
    this.timeout(120_000);
    return withTempFolder(async (folder) => {
      const intact = await filled(folder);
      const before = await everything(folder);
      const usedPages = (headerIn(newestHeader(intact))?.lastPage ?? 0) + 1;
      const place = fc.record({
        page: fc.nat(usedPages - 1),
        at: fc.oneof(fc.nat(120), fc.nat(pageBytes - 1)),
        bit: fc.nat(7),
      });
      await fc.assert(
        fc.asyncProperty(place, async ({ page, at, bit }) => {
          const own = path.join(folder, "damaged");
          await mkdir(own);
          try {
            const bytes = Buffer.from(intact);
            bytes[page * pageBytes + at] = (bytes[page * pageBytes + at] ?? 0) ^ (1 << bit);
            writeFileSync(fileIn(own), bytes);
            try {
              if (!readLedgerPages(fileIn(own)).hasBothHeaders) return;
            } catch (error) {
              assert.ok(error instanceof DamagedPages, String(error));
              return;
            }
            const after = await everything(own);
            assert.equal(after.length, before.length);
            assert.ok(after.filter((entry, index) => entry !== before[index]).length <= 1);
            await work(own, [before.map((_, key): Write => ({ table: "a", key, bytes: 400 + key }))]);
            readLedgerPages(fileIn(own));
          } finally {
            rmSync(own, { recursive: true });
          }
        }),
        { numRuns: 150 },
      );
    });
  });

  const damages: readonly [string, (bytes: Buffer, tree: Tree, root: Buffer) => void, RegExp][] = [
    [
      "a value's length",
      (bytes, _tree, root) => {
        const leaf = pageOf(bytes, numberIn(root, 0));
        leaf.writeUInt32LE(leaf.readUInt32LE(nodeAt(leaf, 1)) + 128, nodeAt(leaf, 1));
      },
      /^page \d+ of table "a": .*an entry/,
    ],
    [
      "a page number, which is that of another page",
      (_bytes, _tree, root) => root.writeUInt32LE(numberIn(root, 2), nodeAt(root, 1)),
      /^page \d+ of table "a": its keys are not below those that follow$/,
    ],
    [
      "a page number, which is beyond the end",
      (_bytes, _tree, root) => root.writeUInt32LE(1_000_000, nodeAt(root, 1)),
      /^page 1000000 of table "a": 1 pages from 1000000 on; expected pages from 2 to \d+$/,
    ],
    [
      "a key between two pages",
      (_bytes, _tree, root) => root.write("key 0", nodeAt(root, 2) + 8),
      /^page \d+ of table "a": its keys are not in order$/,
    ],
    [
      "the page of a large value, which is in use",
      (bytes, tree, root) => largeRecord(bytes, root).writeUInt32LE(tree.root, 0),
      /^page \d+ after page \d+ of table "a": page \d+ is in use twice$/,
    ],
    [
      "the commit of a large value",
      (bytes, _tree, root) => largeRecord(bytes, root).writeUInt32LE(1_000, 8),
      /^page \d+ after page \d+ of table "a": its commit: \d+; expected 1000$/,
    ],
    [
      "how many pages a large value has",
      (bytes, _tree, root) => largeRecord(bytes, root).writeUInt32LE(1, 16),
      /^page \d+ after page \d+ of table "a": a value of 9000 bytes is in 1 pages$/,
    ],
    [
      "the number of the last page",
      (bytes) => newestHeader(bytes).writeUInt32LE(1_000_000, 24 + 120),
      /^page \d+: the file ends there; expected 1000001 pages$/,
    ],
    [
      "a free page, which is in use",
      (bytes) => {
        const leaf = pageOf(bytes, headerIn(newestHeader(bytes))?.free.root ?? 0);
        const at = nodeAt(leaf, 0) + 16;
        leaf.writeBigInt64LE(BigInt(numberAt(bytes, newestHeader(bytes).byteOffset - bytes.byteOffset + 136)), at + 8);
      },
      /^page \d+ in the free pages of commit \d+: page \d+ is in use twice$/,
    ],
  ];
  for (const [what, damage, words] of damages)
    it(`tell where ${what} is wrong`, () =>
      withTempFolder(async (folder) => {
        const bytes = await filled(folder);
        const tree = treeOf(bytes, "a");
        damage(bytes, tree, pageOf(bytes, tree.root));
        writeFileSync(fileIn(folder), bytes);
        assert.throws(
          () => readLedgerPages(fileIn(folder)),
          (error: Error) => {
            assert.ok(error instanceof DamagedPages, error.stack);
            assert.match(error.message, words);
            return true;
          },
        );
      }));

  it("tell where the file ends too early", () =>
    withTempFolder(async (folder) => {
      const { root } = treeOf(await filled(folder), "a");
      await truncate(fileIn(folder), root * pageBytes + 100);
      assert.throws(() => readLedgerPages(fileIn(folder)), DamagedPages);
    }));
});

function newestHeader(bytes: Buffer): Buffer {
  const [first, second] = [bytes.subarray(0), bytes.subarray(pageBytes)];
  return (headerIn(first)?.commit ?? 0) > (headerIn(second)?.commit ?? 0) ? first : second;
}

function pageOf(bytes: Buffer, number: number): Buffer {
  return bytes.subarray(number * pageBytes, (number + 1) * pageBytes);
}

function numberIn(branch: Buffer, index: number): number {
  return branch.readUIntLE(nodeAt(branch, index), 6);
}

/** What is in a leaf in place of some large value. */
function largeRecord(bytes: Buffer, root: Buffer): Buffer {
  for (let child = 0; child * 2 < root.readUInt16LE(20); child++) {
    const leaf = pageOf(bytes, numberIn(root, child));
    for (let index = 0; index * 2 < leaf.readUInt16LE(20); index++) {
      const at = nodeAt(leaf, index);
      if (leaf.readUInt16LE(at + 4) === valueFlags.large) return leaf.subarray(at + 8 + leaf.readUInt16LE(at + 6));
    }
  }
  throw new Error("there is no large value");
}

function treeOf(bytes: Buffer, table: (typeof tables)[number]): Tree {
  const main = pageOf(bytes, headerIn(newestHeader(bytes))?.main.root ?? 0);
  const at = nodeAt(main, tables.indexOf(table));
  return treeAt(main, at + 8 + main.readUInt16LE(at + 6));
}
