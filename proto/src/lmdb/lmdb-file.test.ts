import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { openDamaged } from "./damaged-file.js";
import { headerBytes, headerIn, nodeAt, numberAt, pageFlags, type Tree, treeAt, valueFlags } from "./format.js";
import { restoreHeaders } from "./header.js";
import { LmdbFile } from "./lmdb-file.js";
import { DamagedPages } from "./page-file.js";
import { everythingThenAnew } from "./testing/lmdb-process.js";
import { asText, everything, tables, type Write, work } from "./testing/lmdb-work.js";

const pageBytes = 4096;
const fileIn = (folder: string) => path.join(folder, "data.mdb");

const write: fc.Arbitrary<Write> = fc.record({
  table: fc.constantFrom(...tables),
  key: fc.nat(400),
  bytes: fc.oneof(
    { weight: 60, arbitrary: fc.integer({ min: 1, max: 600 }) },
    { weight: 10, arbitrary: fc.integer({ min: 1_900, max: 30_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 30_000, max: 1_500_000 }) },
    { weight: 30, arbitrary: fc.constant(undefined) },
  ),
});
const commits = fc.array(fc.array(write, { minLength: 1, maxLength: 150 }), { minLength: 1, maxLength: 12 });

async function withTempFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), "bilancia-lmdb-"));
  try {
    return await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Reads a file from end to end. @throws DamagedPages */
function check(folder: string): { hasBothHeaders: boolean } {
  const file = new LmdbFile(fileIn(folder), { tables });
  try {
    file.check();
    return { hasBothHeaders: file.hasBothHeaders };
  } finally {
    file.close();
  }
}

/** What can be read of a file, and what was wrong with it. */
function readable(folder: string): { found: string[]; damages: DamagedPages[] } {
  const damages: DamagedPages[] = [];
  const file = openDamaged(fileIn(folder), tables, (damage) => damages.push(damage));
  if (!file) return { found: [], damages: [new DamagedPages("there is no header")] };
  try {
    const read = file.readTables(tables);
    return { found: tables.flatMap((name) => Array.from(read[name], (entry) => asText(name, entry))), damages };
  } finally {
    file.close();
  }
}

/** The last commit of `filled`. */
const filledLast: readonly Write[] = [{ table: "b", key: 1, bytes: 10 }];

/** A file with two levels of pages, large values, and free pages. */
async function filled(folder: string): Promise<Buffer> {
  const put = Array.from(
    { length: 300 },
    (_, key): Write => ({ table: "a", key, bytes: key % 20 === 0 ? 9_000 : 100 }),
  );
  const again = put.filter(({ key }) => key % 3 === 0).map((one): Write => ({ ...one, bytes: 250 }));
  await work(folder, [put, again, filledLast]);
  return readFileSync(fileIn(folder));
}

describe("the file of LMDB, read without it", () => {
  it("is sound whatever was put and removed, in one life or several, and all in it is found", function () {
    this.timeout(60_000);
    return fc.assert(
      fc.asyncProperty(fc.array(commits, { minLength: 1, maxLength: 3 }), (lives) =>
        withTempFolder(async (folder) => {
          for (const batches of lives) {
            await work(folder, batches);
            assert.deepEqual(check(folder), { hasBothHeaders: true });
            assert.deepEqual(readable(folder), { found: await everything(folder), damages: [] });
          }
        }),
      ),
      { numRuns: 40 },
    );
  });

  it("with a wrong bit is refused, or LMDB finds all in it but what the bit is in, and can go on; and most of it is read either way", function () {
    this.timeout(120_000);
    return withTempFolder(async (folder) => {
      const intact = await filled(folder);
      const before = await everything(folder);
      const usedPages = (headerIn(newestHeader(intact))?.lastPage ?? 0) + 1;
      const place = fc.record({
        page: fc.oneof({ weight: 1, arbitrary: fc.nat(1) }, { weight: 3, arbitrary: fc.nat(usedPages - 1) }),
        at: fc.oneof(fc.nat(headerBytes - 1), fc.nat(pageBytes - 1)),
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
            await goThrough(own, before, mostIn(intact, page));
          } finally {
            rmSync(own, { recursive: true });
          }
        }),
        { numRuns: 40 },
      );
    });
  });

  it("with a page of zeros, wherever it is, is read but for what was in that page", function () {
    this.timeout(60_000);
    return withTempFolder(async (folder) => {
      const intact = await filled(folder);
      const before = await everything(folder);
      let refused = 0;
      const pages = Array.from({ length: intact.length / pageBytes }, (_, page) => page).values();
      const goThroughRest = async (own: string) => {
        for (const page of pages) {
          await mkdir(own);
          writeFileSync(fileIn(own), Buffer.from(intact).fill(0, page * pageBytes, (page + 1) * pageBytes));
          if ((await goThrough(own, before, mostIn(intact, page))) === "refused") refused += 1;
          rmSync(own, { recursive: true });
        }
      };
      await Promise.all(["one", "another"].map((name) => goThroughRest(path.join(folder, name))));
      assert.ok(refused > 20, `only ${refused} pages are in use`);
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
      "the page of a large value, which is a tree's",
      (bytes, tree, root) => largeRecord(bytes, root).writeUInt32LE(tree.root, 0),
      /^page \d+ after page \d+ of table "a": flags: 1; expected 4$/,
    ],
    [
      "the page of a large value, which is another's",
      (bytes, _tree, root) => largeRecord(bytes, root, 1).copy(largeRecord(bytes, root), 0, 0, 24),
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
    it(`tells where ${what} is wrong`, () =>
      withTempFolder(async (folder) => {
        const bytes = await filled(folder);
        const tree = treeOf(bytes, "a");
        damage(bytes, tree, pageOf(bytes, tree.root));
        writeFileSync(fileIn(folder), bytes);
        assert.throws(
          () => check(folder),
          (error: Error) => {
            assert.ok(error instanceof DamagedPages, error.stack);
            assert.match(error.message, words);
            return true;
          },
        );
      }));

  it("tells where it ends too early", () =>
    withTempFolder(async (folder) => {
      const { root } = treeOf(await filled(folder), "a");
      await truncate(fileIn(folder), root * pageBytes + 100);
      assert.throws(() => check(folder), DamagedPages);
    }));
});

/** Has a damaged file looked at as a start does. Where its pages are refused, it must be readable all the same; where they are not, LMDB must find all in it, and be able to go on. */
async function goThrough(folder: string, before: readonly string[], mostMissing: number): Promise<"refused" | "taken"> {
  restoreHeaders(folder);
  let hasBothHeaders: boolean;
  try {
    ({ hasBothHeaders } = check(folder));
  } catch (error) {
    assert.ok(error instanceof DamagedPages, String(error));
    assertFound(readable(folder).found, before, mostMissing);
    return "refused";
  }
  const after = await everythingThenAnew(folder);
  assertFound(after, before, hasBothHeaders ? 0 : filledLast.length);
  check(folder);
  return "taken";
}

/** Nothing is found that was not written, and nothing is missing, but for what the damage is in. */
function assertFound(found: readonly string[], before: readonly string[], mostMissing: number): void {
  const known = new Set(before);
  const strange = found.filter((entry) => !known.has(entry));
  assert.ok(strange.length <= 1, `${strange.length} entries are not what was written`);
  assert.equal(new Set(found).size, found.length, "no entry is read twice");
  const missing = before.length - found.length;
  assert.ok(missing <= mostMissing, `${missing} entries are missing; expected at most ${mostMissing}`);
}

/** How many entries may be missing when a page of `filled` is damaged: those in it, or that of the last commit. */
function mostIn(intact: Buffer, number: number): number {
  const page = pageOf(intact, number);
  const flags = page.readUInt16LE(18);
  if (flags === pageFlags.branch) return 0;
  return flags === pageFlags.leaf ? page.readUInt16LE(20) / 2 : 1;
}

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

/** What is in a leaf in place of the first large value, or another one. */
function largeRecord(bytes: Buffer, root: Buffer, which = 0): Buffer {
  let before = which;
  for (let child = 0; child * 2 < root.readUInt16LE(20); child++) {
    const leaf = pageOf(bytes, numberIn(root, child));
    for (let index = 0; index * 2 < leaf.readUInt16LE(20); index++) {
      const at = nodeAt(leaf, index);
      if (leaf.readUInt16LE(at + 4) === valueFlags.large && before-- === 0)
        return leaf.subarray(at + 8 + leaf.readUInt16LE(at + 6));
    }
  }
  throw new Error("there is no large value");
}

function treeOf(bytes: Buffer, table: (typeof tables)[number]): Tree {
  const main = pageOf(bytes, headerIn(newestHeader(bytes))?.main.root ?? 0);
  const at = nodeAt(main, tables.indexOf(table));
  return treeAt(main, at + 8 + main.readUInt16LE(at + 6));
}
