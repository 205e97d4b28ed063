import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { Holding } from "@bilancia/proto/gen/storage";
import { headerIn, nodeAt, nodeHeaderBytes } from "@bilancia/proto/lmdb/format";
import { callUnary } from "@bilancia/proto/unary";
import fc from "fast-check";
import { startTestServer, storedNames, type TestServer, withFolder } from "./testing/test-server.js";
import { header, origin, TestStream, wholeFile } from "./testing/test-stream.js";

const pageBytes = 4096;
const numbers = Array.from({ length: 300 }, (_, at) => at + 1);

function indexFile(dir: string): string {
  return join(dir, ".bilancia", "index", "data.mdb");
}

/** Does something with a server on a folder, and stops it. */
async function serving(dir: string, act: (server: TestServer, stream: TestStream) => Promise<void>): Promise<void> {
  const server = await startTestServer(dir);
  try {
    const stream = new TestStream(server.client);
    await act(server, stream);
    await stream.close();
  } finally {
    await server.stop();
  }
}

/** Has a server store files, and stop. */
function fill(dir: string): Promise<void> {
  return serving(dir, async (_server, stream) => {
    for (const number of numbers) await stream.send(wholeFile(header(number), `content of ${number}`));
    for (const number of numbers) await stream.saved(number);
  });
}

async function isKnown({ client }: TestServer, number: number): Promise<boolean> {
  const request = { origin, requestNumber: BigInt(number) };
  const { holding } = await callUnary(client.stat.bind(client), request, 5_000);
  return holding === Holding.HOLDING_STORED;
}

/** The numbers of the files that a server knows. */
async function known(server: TestServer): Promise<number[]> {
  const found: number[] = [];
  for (const number of numbers) if (await isKnown(server, number)) found.push(number);
  return found;
}

/** The pages in which the record of a file is, those of earlier commits too. */
function pagesWith(bytes: Buffer, number: number): Buffer[] {
  const pages: Buffer[] = [];
  const mark = Buffer.from(`"storedName":"${number}_a.bin"`);
  for (let at = bytes.indexOf(mark); at >= 0; at = bytes.indexOf(mark, at + 1))
    pages.push(bytes.subarray(at - (at % pageBytes), at - (at % pageBytes) + pageBytes));
  return pages;
}

/** Where the first key of a page of records is. */
function keyAt(page: Buffer): number {
  return nodeAt(page, 0) + nodeHeaderBytes;
}

describe("a damaged index", () => {
  const damages: readonly [string, (bytes: Buffer) => void, (foundCount: number) => boolean][] = [
    [
      "a page of records, by zeros",
      (bytes) => {
        for (const page of pagesWith(bytes, 150)) page.fill(0);
      },
      (foundCount) => foundCount > 200 && foundCount < 300,
    ],
    [
      "the length of a record, by a bit",
      (bytes) => {
        for (const page of pagesWith(bytes, 150)) {
          const at = nodeAt(page, 0);
          page.writeUInt32LE(page.readUInt32LE(at) ^ (1 << 14), at);
        }
      },
      (foundCount) => foundCount > 200 && foundCount < 300,
    ],
    [
      "the key of a record, by a bit that leaves the keys in their order",
      (bytes) => {
        // The origin of the first record, in the first page of records.
        for (const page of pagesWith(bytes, 1)) page.writeUInt8(page.readUInt8(keyAt(page)) ^ 1, keyAt(page));
      },
      (foundCount) => foundCount === 299,
    ],
    ["both headers", (bytes) => bytes.fill(0, 0, 2 * pageBytes), (foundCount) => foundCount === 0],
  ];
  for (const [what, damage, isAsExpected] of damages)
    it(`is moved aside, and what can be read of it is taken over: ${what}`, () =>
      withFolder(async (dir) => {
        await fill(dir);
        const bytes = readFileSync(indexFile(dir));
        damage(bytes);
        writeFileSync(indexFile(dir), bytes);

        let found: number[] = [];
        await serving(dir, async (server, stream) => {
          found = await known(server);
          assert.ok(isAsExpected(found.length), `${found.length} of ${numbers.length} are known`);
          assert.equal((await storedNames(dir)).length, numbers.length, "the files are all there");
          const told = server.logged.filter(({ msg }) => String(msg).startsWith("index was damaged"));
          assert.equal(told.length, 1);
          const [{ movedTo, files, problem } = {}] = told;
          assert.match(String(problem), /page \d+|header|is not what was written/);
          assert.equal(files, found.length);
          assert.deepEqual(readFileSync(join(String(movedTo), "data.mdb")), bytes, "the damaged one is as it was");
          for (const number of found.slice(0, 3)) {
            await stream.send(wholeFile(header(number, { attempt: 2 }), `content of ${number}`));
            assert.equal((await stream.saved(number)).duplicate, true);
          }
          await stream.send(wholeFile(header(1_000), "new"));
          await stream.saved(1_000);
        });
        await serving(dir, async (server) => {
          assert.deepEqual(
            server.logged.filter(({ msg }) => String(msg).includes("index")),
            [],
          );
          assert.deepEqual(await known(server), found);
        });
      }));

  it("whose newer header is gone goes on without its last commit, and says so", () =>
    withFolder(async (dir) => {
      await fill(dir);
      const bytes = readFileSync(indexFile(dir));
      const commitOf = (page: number) => bytes.readBigUInt64LE(page * pageBytes + 152);
      const newer = commitOf(0) > commitOf(1) ? 0 : 1;
      bytes.fill(0, newer * pageBytes, (newer + 1) * pageBytes);
      writeFileSync(indexFile(dir), bytes);
      await serving(dir, async (server) => {
        const words = "index is damaged, and used as it is";
        assert.equal(server.logged.filter(({ msg }) => msg === words).length, 1);
        assert.ok((await known(server)).length > 0);
      });
    }));

  it("never keeps a server from serving, wherever the damage is", function () {
    this.timeout(60_000);
    const harm = fc.record({ page: fc.nat(), at: fc.nat(pageBytes - 1), bit: fc.option(fc.nat(7)) });
    return withFolder(async (folder) => {
      const intact = join(folder, "intact");
      await fill(intact);
      const contentOf = (dir: string, number: number) => readFileSync(join(dir, `${number}_a.bin`), "utf8");
      await fc.assert(
        fc.asyncProperty(harm, async ({ page, at, bit }) => {
          const dir = join(folder, "damaged");
          rmSync(dir, { recursive: true, force: true });
          // With all of their times, by which a file is known again.
          execFileSync("cp", ["-a", intact, dir]);
          const bytes = readFileSync(indexFile(dir));
          // What LMDB has taken of the disk beyond its last page is empty.
          const usedPages =
            Math.max(...[0, 1].map((which) => headerIn(bytes.subarray(which * pageBytes))?.lastPage ?? 0)) + 1;
          const pageAt = (page % usedPages) * pageBytes;
          const place = pageAt + at;
          if (bit === null) bytes.fill(0, pageAt, pageAt + pageBytes);
          else bytes.writeUInt8(bytes.readUInt8(place) ^ (1 << bit), place);
          writeFileSync(indexFile(dir), bytes);
          await serving(dir, async (server, stream) => {
            const found = await known(server);
            const told = server.logged.filter(({ msg }) => String(msg).startsWith("index "));
            assert.ok(found.length === numbers.length || told.length > 0, "files are not known, and nothing was told");
            assert.ok(found.length > 200, `${found.length} of ${numbers.length} are known`);
            for (const number of found) assert.equal(contentOf(dir, number), `content of ${number}`);
            await stream.send(wholeFile(header(1_000), "new"));
            await stream.saved(1_000);
          });
          await serving(dir, async (server) => assert.equal(await isKnown(server, 1_000), true));
        }),
        { numRuns: 12 },
      );
    });
  });

  it("is replaced where an earlier start was ended in the middle of that", () =>
    withFolder(async (dir) => {
      await fill(dir);
      const index = join(dir, ".bilancia", "index");
      await rename(index, `${index}-new`);
      await serving(dir, async (server) => assert.equal((await known(server)).length, numbers.length));

      await mkdir(`${index}-new`);
      writeFileSync(join(`${index}-new`, "data.mdb"), "half a copy");
      const bytes = readFileSync(indexFile(dir));
      for (const page of pagesWith(bytes, 150)) page.fill(0);
      writeFileSync(indexFile(dir), bytes);
      await serving(dir, async (server) => assert.ok((await known(server)).length > 200));
      assert.deepEqual(
        readdirSync(join(dir, ".bilancia"))
          .map((name) => name.replace(/\d+$/, "*"))
          .sort(),
        ["index", "index.damaged-*", "lock", "tmp"],
      );
    }));
});
