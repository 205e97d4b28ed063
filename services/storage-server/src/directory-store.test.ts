import assert from "node:assert/strict";
import { cp, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { Holding } from "@bilancia/proto/gen/storage";
import { HealthClient } from "@bilancia/proto/health";
import { maxPartDataBytes } from "@bilancia/proto/limits";
import { cannotTest } from "@bilancia/proto/testing/cannot-test";
import { eventually } from "@bilancia/proto/testing/eventually";
import { callUnary } from "@bilancia/proto/unary";
import { credentials, status } from "@grpc/grpc-js";
import { maxJournalledFileBytes } from "./directory-store.js";
import { type Disk, type DiskFile, type FileMark, nodeDisk } from "./disk.js";
import { earlyFlushBytes } from "./early-flush.js";
import { journalLength } from "./testing/journal-file.js";
import { withSmallDisk } from "./testing/small-disk.js";
import { startTestServer, storedNames, type TestServer, tempNames, withFolder } from "./testing/test-server.js";
import { header, origin, otherUploadId, part, TestStream, uploadId, wholeFile } from "./testing/test-stream.js";

type Operation =
  | "create"
  | "write"
  | "syncContent"
  | "sync"
  | "close"
  | "link"
  | "unlink"
  | "syncDirectory"
  | "syncFiles";

/** The real disk, with a hook before each operation that changes something. */
function watchedDisk(before: (operation: Operation, path: string) => void): Disk {
  const watch = <T>(operation: Operation, path: string, run: () => Promise<T>): Promise<T> => {
    try {
      before(operation, basename(path));
    } catch (error) {
      return Promise.reject(error);
    }
    return run();
  };
  const watchFile = (path: string, file: DiskFile): DiskFile => ({
    write: (chunks) => watch("write", path, () => file.write(chunks)),
    syncContent: () => watch("syncContent", path, () => file.syncContent()),
    sync: () => watch("sync", path, () => file.sync()),
    // A close that fails closes all the same.
    close: () => watch("close", path, () => file.close()).finally(() => file.close()),
    mark: () => file.mark(),
  });
  return {
    ...nodeDisk,
    writeWhole: (path, chunks) =>
      watch("create", path, () =>
        watch("write", path, () => watch("close", path, () => nodeDisk.writeWhole(path, chunks))),
      ),
    giveName: (from, to) => watch("link", to, () => nodeDisk.giveName(from, to)),
    syncFiles: (path, files) =>
      watch("syncFiles", files.map((file) => basename(file)).join(" "), () => nodeDisk.syncFiles(path, files)),
    create: (path) => watch("create", path, async () => watchFile(path, await nodeDisk.create(path))),
    link: (from, to) => watch("link", to, () => nodeDisk.link(from, to)),
    unlink: (path) => watch("unlink", path, () => nodeDisk.unlink(path)),
    syncDirectory: (path) => watch("syncDirectory", path, () => nodeDisk.syncDirectory(path)),
  };
}

/** The content of a file that does not go through the journal, and fits into one part. */
const large = Buffer.alloc(maxJournalledFileBytes + 1, "x");

/** Sends a file so long that it is flushed while it comes; stops when the stream does. */
async function sendLongFile(stream: TestStream, requestNumber: number): Promise<void> {
  const sizeBytes = earlyFlushBytes + 4 * maxPartDataBytes;
  const piece = Buffer.alloc(maxPartDataBytes, "x");
  await stream.send({ header: header(requestNumber), offset: 0, data: piece });
  for (let offset = piece.length; offset < sizeBytes; offset += piece.length) {
    const sent = stream.send(part(offset, piece, offset + piece.length === sizeBytes));
    if ((await Promise.race([sent, stream.ended])) !== undefined) return;
  }
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: it failed, /secret/path`), { code });
}

/** Starts a server whose disk fails as often as told, and runs a test on it. */
async function withFailingDisk(
  failing: Operation,
  code: string,
  test: (server: TestServer, dir: string, repair: () => void) => Promise<void>,
): Promise<void> {
  await withFolder(async (dir) => {
    let broken = false;
    const disk = watchedDisk((operation) => {
      if (broken && operation === failing) throw systemError(code);
    });
    const server = await startTestServer(dir, {}, disk);
    broken = true;
    try {
      await test(server, dir, () => {
        broken = false;
      });
    } finally {
      await server.stop();
    }
  });
}

describe("directory store", () => {
  it("flushes the bytes of a large file, then gives the name, then flushes the name, and only then answers", () =>
    withFolder(async (dir) => {
      const operations: string[] = [];
      const disk = watchedDisk((operation, path) => operations.push(`${operation} ${path}`));
      const server = await startTestServer(dir, {}, disk);
      operations.length = 0;
      const stream = new TestStream(server.client);
      await stream.send(wholeFile(header(1), large));
      await stream.saved(1);
      assert.deepEqual(operations, [
        ...["create 1", "write 1", "sync 1", "close 1", "link 1_a.bin", "unlink 1"],
        `syncDirectory ${basename(dir)}`,
      ]);
      await stream.close();
      await server.stop();
    }));

  it("flushes a long file while it comes, and the rest of it at its end", () =>
    withFolder(async (dir) => {
      const operations: string[] = [];
      const disk = watchedDisk((operation, path) => operations.push(`${operation} ${path}`));
      const server = await startTestServer(dir, {}, disk);
      const stream = new TestStream(server.client);
      await sendLongFile(stream, 1);
      await stream.saved(1);
      const [early, last] = [operations.indexOf("syncContent 1"), operations.indexOf("sync 1")];
      assert.ok(early > operations.indexOf("write 1"), operations.join());
      assert.ok(last > early && last > operations.lastIndexOf("write 1"), operations.join());
      await stream.close();
      await server.stop();
    }));

  it("answers a small file once it has its name, and flushes it with others before it stops", () =>
    withFolder(async (dir) => {
      const operations: string[] = [];
      const disk = watchedDisk((operation, path) => operations.push(`${operation} ${path}`));
      const server = await startTestServer(dir, {}, disk);
      operations.length = 0;
      const stream = new TestStream(server.client);
      await stream.send(wholeFile(header(1), "abc"), wholeFile(header(2), "abc"));
      await Promise.all([stream.saved(1), stream.saved(2)]);
      assert.deepEqual(
        operations.filter((operation) => operation.endsWith("1") || operation.startsWith("link 1")),
        ["create 1", "write 1", "close 1", "link 1_a.bin"],
      );
      assert.deepEqual(await storedNames(dir), ["1_a.bin", "2_a.bin"]);
      await stream.close();
      await server.stop();
      const flushed = operations
        .filter((operation) => operation.startsWith("sync"))
        .flatMap((operation) => operation.split(" "));
      assert.ok(flushed.includes("1_a.bin") && flushed.includes("2_a.bin"), flushed.join());
      assert.deepEqual(journalLength(dir), 0);
    }));

  it("does not take another's large file for the one whose name a crash prevented, also if size and time of writing are equal", () =>
    withFolder(async (dir) => {
      let isCrashing = false;
      let isOnRecord = false;
      const sameTime = <M extends FileMark | undefined>(mark: M): M => mark && { ...mark, modifiedNs: 1n };
      const disk: Disk = {
        ...nodeDisk,
        mark: async (path) => sameTime(await nodeDisk.mark(path)),
        create: async (path) => {
          const file = await nodeDisk.create(path);
          return { ...file, mark: async () => sameTime(await file.mark()) };
        },
        link: async (from, to) => {
          if (!isCrashing) return nodeDisk.link(from, to);
          isOnRecord = true;
          return new Promise(() => {});
        },
      };
      const other = { origin: "f".repeat(32), uploadId: otherUploadId };
      const otherLarge = Buffer.alloc(large.length, "y");
      const server = await startTestServer(dir, { grace: "100ms" }, disk);
      const stream = new TestStream(server.client);
      await stream.send(wholeFile(header(7), large));
      await stream.saved(7);
      isCrashing = true;
      const crashed = new TestStream(server.client);
      await crashed.send(wholeFile(header(7, other), otherLarge));
      await eventually("its record", () => isOnRecord);
      await withFolder(async (copy) => {
        await cp(dir, copy, { recursive: true });
        isCrashing = false;
        const next = await startTestServer(copy, {}, disk);
        const again = new TestStream(next.client);
        await again.send(wholeFile(header(7, { ...other, attempt: 2 }), otherLarge));
        assert.deepEqual((await again.saved(7)).storedName, "7_a~ffffffff.bin");
        const request = { ...other, requestNumber: 7n, term: 1n, attempt: 2 };
        assert.equal((await callUnary(next.client.discard.bind(next.client), request, 5_000)).discarded, true);
        assert.deepEqual(await readFile(join(copy, "7_a.bin")), large);
        await again.close();
        await next.stop();
      });
      stream.cancel();
      crashed.cancel();
      await server.stop();
    }));

  it("flushes the directory once for files that end together", () =>
    withFolder(async (dir) => {
      let flushes = 0;
      const disk = watchedDisk((operation) => {
        if (operation === "syncDirectory") flushes++;
      });
      const server = await startTestServer(dir, {}, disk);
      const stream = new TestStream(server.client);
      for (let number = 1; number <= 64; number++) await stream.send(wholeFile(header(number), large));
      for (let number = 1; number <= 64; number++) await stream.saved(number);
      assert.ok(flushes < 60, `${flushes} flushes for 64 files`);
      await stream.close();
      await server.stop();
    }));

  for (const [operation, code, reason] of [
    ["write", "ENOSPC", "REFUSE_REASON_NO_SPACE"],
    ["write", "EDQUOT", "REFUSE_REASON_NO_SPACE"],
    ["create", "ENOSPC", "REFUSE_REASON_NO_SPACE"],
    ["link", "ENOSPC", "REFUSE_REASON_NO_SPACE"],
    ["write", "EIO", "REFUSE_REASON_INTERNAL"],
    ["close", "EIO", "REFUSE_REASON_INTERNAL"],
    ["link", "EIO", "REFUSE_REASON_INTERNAL"],
  ] as const)
    it(`refuses a file with ${reason} when ${operation} fails with ${code}, and goes on`, () =>
      withFailingDisk(operation, code, async ({ client }, dir, repair) => {
        const stream = new TestStream(client);
        const begin = { header: header(2), offset: 0, data: Buffer.from("abc") };
        await stream.send(wholeFile(header(1), "abc"), begin);
        const message = await stream.refused(1, reason);
        assert.doesNotMatch(message, /secret|tmp/);
        await stream.send({ offset: 3, data: Buffer.from("d"), finish: { sizeBytes: 4n, sha256: undefined } });
        await stream.refused(2, reason);
        repair();
        const again = new TestStream(client);
        await again.send(wholeFile(header(1, { attempt: 2 }), "abc"));
        assert.equal((await again.saved(1)).duplicate, false);
        await Promise.all([stream.close(), again.close()]);
        assert.deepEqual(await storedNames(dir), ["1_a.bin"]);
        assert.deepEqual(await tempNames(dir), []);
      }));

  for (const operation of ["syncContent", "sync", "syncDirectory", "syncFiles"] as const)
    it(`acknowledges nothing more after ${operation} has failed`, () =>
      withFailingDisk(operation, "EIO", async ({ client, address, broken, logged }, dir, repair) => {
        const health = new HealthClient(address, credentials.createInsecure());
        const check = () => callUnary(health.check.bind(health), { service: "" }, 5_000);
        assert.equal((await check()).status, "SERVING");
        const stream = new TestStream(client);
        // A small file is flushed later, and has been answered by then.
        const isLate = operation === "syncFiles";
        if (operation === "syncContent") await sendLongFile(stream, 1);
        else await stream.send(wholeFile(header(1), isLate ? "abc" : large));
        assert.equal((await stream.ended).code, status.UNAVAILABLE);
        const answers = stream.results.filter(({ outcome }) => outcome?.$case !== "accept");
        assert.equal(answers.length, isLate ? 1 : 0);
        await broken;
        assert.equal((await check()).status, "NOT_SERVING");
        health.close();
        assert.ok(logged.some(({ level, msg }) => level === 50 && String(msg).startsWith("flush to disk failed")));
        // Also not when it would work again: what failed is never tried a second time.
        repair();
        const again = new TestStream(client);
        await again.send(wholeFile(header(1, { attempt: 2 }), "abc"));
        await again.ended;
        assert.deepEqual(again.results, []);
        if (isLate) assert.equal(journalLength(dir), 1);
      }));

  it("refuses files with NO_SPACE on a full disk, keeps those that it has, removes some, and goes on once there is room", async () => {
    const hasDisk = await withSmallDisk("40m", async ({ folder, fill, free }) => {
      const dir = join(folder, "files");
      const data = (number: number) => Buffer.alloc(number % 7 === 0 ? 90_000 : 3_000, String(number));
      const server = await startTestServer(dir);
      let broken: Error | undefined;
      void server.broken.then((error) => {
        broken = error;
      });
      const stream = new TestStream(server.client);
      const count = 3_000;
      for (let number = 1; number <= count; number++) await stream.send(wholeFile(header(number), data(number)));
      await eventually("the answers", () => stream.results.length === count || broken !== undefined);
      fill();
      for (const number of [count + 1, count + 2]) {
        await stream.send(wholeFile(header(number), number % 2 === 0 ? large : "abc"));
        await stream.refused(number, "REFUSE_REASON_NO_SPACE");
      }
      assert.equal(broken, undefined);
      const saved = stream.results.flatMap(({ requestNumber, outcome }) =>
        outcome?.$case === "saved" ? [Number(requestNumber)] : [],
      );
      assert.ok(saved.length > 100 && saved.length < count, `${saved.length} of ${count} files are saved`);
      const { client } = server;
      for (const number of saved.splice(0, 50)) {
        const request = { origin, requestNumber: BigInt(number), uploadId, term: 1n, attempt: 1 };
        assert.equal((await callUnary(client.discard.bind(client), request, 5_000)).discarded, true);
      }
      free();
      const again = header(count + 1, { attempt: 2 });
      const after = new TestStream(client);
      await after.send(wholeFile(again, "abc"));
      await after.saved(count + 1);
      await Promise.all([stream.close(), after.close()]);
      await server.stop();
      assert.equal(broken, undefined);
      const next = await startTestServer(dir);
      assert.deepEqual(await storedNames(dir), [...saved, count + 1].map((number) => `${number}_a.bin`).sort());
      for (const number of saved) {
        const request = { origin, requestNumber: BigInt(number) };
        const { holding } = await callUnary(next.client.stat.bind(next.client), request, 5_000);
        assert.equal(holding, Holding.HOLDING_STORED);
      }
      await next.stop();
    });
    if (!hasDisk) cannotTest("a full disk: no small disk can be mounted");
  }).timeout(60_000);

  it("is not troubled by a temp file that cannot be removed", () =>
    withFailingDisk("unlink", "EIO", async ({ client, logged }, dir) => {
      const stream = new TestStream(client);
      await stream.send(wholeFile(header(1), large));
      await stream.saved(1);
      await stream.close();
      assert.deepEqual(await storedNames(dir), ["1_a.bin"]);
      assert.ok(logged.some(({ msg }) => msg === "temp file could not be removed"));
    }));
});
