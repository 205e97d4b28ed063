import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { statSync, writeFileSync } from "node:fs";
import { mkdir, readFile, truncate, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Holding } from "@bilancia/proto/gen/storage";
import { StorageClient } from "@bilancia/proto/services";
import { cannotTest } from "@bilancia/proto/testing/cannot-test";
import { callUnary } from "@bilancia/proto/unary";
import { credentials } from "@grpc/grpc-js";
import { type Disk, nodeDisk } from "./disk.js";
import { damageJournal, journalLength } from "./testing/journal-file.js";
import { withSmallDisk } from "./testing/small-disk.js";
import { startStuckProgram } from "./testing/storage-program.js";
import { startTestServer, storedNames, tempNames, withFolder } from "./testing/test-server.js";
import { header, origin, TestStream, uploadId, wholeFile } from "./testing/test-stream.js";

/** A text of some length that differs from number to number. */
function content(number: number): string {
  return `content of ${number} `.repeat(100);
}

/** Does something with the client of a real server that never trims its journal, and kills it. */
async function killAfter(dir: string, act: (client: StorageClient) => Promise<void>): Promise<void> {
  const { child, address, exited } = await startStuckProgram(dir);
  const client = new StorageClient(address, credentials.createInsecure());
  await act(client);
  child.kill("SIGKILL");
  assert.equal(await exited, "SIGKILL");
  client.close();
}

async function save(client: StorageClient, ...numbers: number[]): Promise<void> {
  const stream = new TestStream(client);
  await stream.send(...numbers.map((number) => wholeFile(header(number), content(number))));
  for (const number of numbers) await stream.saved(number);
  stream.cancel();
  await stream.ended;
}

function holding(client: StorageClient, number: number) {
  return callUnary(client.stat.bind(client), { origin, requestNumber: BigInt(number) }, 5_000);
}

/** Changes a file as a power failure does: its time of writing stays. */
async function tear(path: string, change: () => Promise<void>): Promise<void> {
  const copy = `${path}.copy`;
  writeFileSync(copy, "");
  execFileSync("touch", ["-r", path, copy]);
  await change();
  execFileSync("touch", ["-r", copy, path]);
  await unlink(copy);
  assert.ok(statSync(path).isFile());
}

describe("recovery from the journal", () => {
  it("makes files anew that are missing or torn after a crash, and finds the others whole", () =>
    withFolder(async (dir) => {
      const numbers = Array.from({ length: 40 }, (_, at) => at + 1);
      await killAfter(dir, (client) => save(client, ...numbers));
      // The journal must still have them, or the test proves nothing.
      assert.equal(journalLength(dir), 40);
      const path = (number: number) => join(dir, `${number}_a.bin`);
      for (const number of numbers) {
        if (number % 4 === 1) await unlink(path(number));
        if (number % 4 === 2) await tear(path(number), () => truncate(path(number), number * 7));
        if (number % 4 === 3)
          await tear(path(number), () => writeFile(path(number), Buffer.alloc(content(number).length)));
      }
      const server = await startTestServer(dir);
      assert.equal(journalLength(dir), 0);
      assert.deepEqual(await storedNames(dir), numbers.map((number) => `${number}_a.bin`).sort());
      const stream = new TestStream(server.client);
      for (const number of numbers) {
        assert.equal(await readFile(path(number), "utf8"), content(number));
        assert.equal((await holding(server.client, number)).holding, Holding.HOLDING_STORED);
        await stream.send(wholeFile(header(number, { attempt: 2 }), content(number)));
        assert.equal((await stream.saved(number)).duplicate, true);
      }
      assert.ok(server.logged.some(({ msg, restored }) => msg === "recovered files" && restored === 30));
      await stream.close();
      await server.stop();
    }));

  it("reports a damaged entry, serves nothing of it, and starts", () =>
    withFolder(async (dir) => {
      await killAfter(dir, (client) => save(client, 1, 2, 3));
      damageJournal(dir, (value) => value.includes("content of 1 ") || value.includes("content of 2 "));
      await unlink(join(dir, "1_a.bin"));
      const server = await startTestServer(dir);
      assert.equal((await holding(server.client, 1)).holding, Holding.HOLDING_NONE);
      // The bytes of this one are in its file, so nothing is lost with the entry.
      assert.equal((await holding(server.client, 2)).holding, Holding.HOLDING_STORED);
      assert.equal((await holding(server.client, 3)).holding, Holding.HOLDING_STORED);
      assert.deepEqual(await storedNames(dir), ["2_a.bin", "3_a.bin"]);
      assert.equal(server.logged.filter(({ msg }) => msg === "journal entry is damaged").length, 2);
      assert.equal(server.logged.filter(({ msg }) => msg === "stored file is lost").length, 1);
      assert.equal(journalLength(dir), 0);
      await save(server.client, 1);
      await server.stop();
    }));

  it("does not overwrite another's file that has taken the name", () =>
    withFolder(async (dir) => {
      await killAfter(dir, (client) => save(client, 1, 2));
      for (const number of [1, 2]) {
        await unlink(join(dir, `${number}_a.bin`));
        await writeFile(join(dir, `${number}_a.bin`), number === 1 ? "another's" : "");
      }
      const second = `2_a~${origin.slice(0, 8)}.bin`;
      await mkdir(join(dir, second));
      const server = await startTestServer(dir);
      assert.equal(await readFile(join(dir, "1_a.bin"), "utf8"), "another's");
      assert.equal(await readFile(join(dir, "2_a.bin"), "utf8"), "");
      assert.equal(await readFile(join(dir, `1_a~${origin.slice(0, 8)}.bin`), "utf8"), content(1));
      assert.equal((await holding(server.client, 1)).file?.storedName, `1_a~${origin.slice(0, 8)}.bin`);
      // Both names of this one are taken: its bytes stay in the journal until one is free.
      assert.equal((await holding(server.client, 2)).holding, Holding.HOLDING_NONE);
      assert.ok(journalLength(dir) > 0);
      await server.stop();
      await unlink(join(dir, "2_a.bin"));
      const again = await startTestServer(dir);
      assert.equal(await readFile(join(dir, "2_a.bin"), "utf8"), content(2));
      assert.equal((await holding(again.client, 2)).holding, Holding.HOLDING_STORED);
      assert.equal(journalLength(dir), 0);
      await again.stop();
    }));

  it("starts on a full disk, keeps what it has no room to make anew, and makes it anew once, also when it was sent again and that copy is damaged", () =>
    withFolder(async (dir) => {
      await killAfter(dir, (client) => save(client, 1, 2, 3));
      await unlink(join(dir, "1_a.bin"));
      await unlink(join(dir, "2_a.bin"));
      let isDiskFull = true;
      const disk: Disk = {
        ...nodeDisk,
        writeWhole: (path, chunks) =>
          isDiskFull
            ? Promise.reject(Object.assign(new Error("ENOSPC"), { code: "ENOSPC" }))
            : nodeDisk.writeWhole(path, chunks),
        // Its failure keeps the journal as it is.
        syncFiles: (folder, paths) =>
          isDiskFull
            ? nodeDisk.syncFiles(folder, paths)
            : Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" })),
      };
      const server = await startTestServer(dir, {}, disk);
      const full = server.logged.filter(({ msg }) => String(msg).includes("the disk is full"));
      assert.deepEqual(full.map(({ requestNumber }) => Number(requestNumber)).sort(), [1, 2]);
      assert.equal((await holding(server.client, 1)).holding, Holding.HOLDING_NONE);
      assert.equal((await holding(server.client, 3)).holding, Holding.HOLDING_STORED);
      isDiskFull = false;
      const stream = new TestStream(server.client);
      await stream.send(wholeFile(header(1, { attempt: 2 }), content(1)));
      await stream.saved(1);
      await server.broken;
      await server.stop();
      await unlink(join(dir, "1_a.bin"));
      assert.equal(journalLength(dir), 4);
      // The pack from before has its bytes too.
      damageJournal(dir, (value, isInLastPack) => isInLastPack && value.includes("content of 1 "));
      await withServerOn(dir, async (client) => {
        assert.deepEqual(await storedNames(dir), ["1_a.bin", "2_a.bin", "3_a.bin"]);
        for (const number of [1, 2, 3]) {
          assert.equal((await holding(client, number)).holding, Holding.HOLDING_STORED);
          assert.equal(await readFile(join(dir, `${number}_a.bin`), "utf8"), content(number));
        }
      });
      assert.equal(journalLength(dir), 0);
    }));

  it("starts on a disk that is full to the last byte, and makes what is missing anew once there is room", async () => {
    const hasDisk = await withSmallDisk("100m", async ({ folder, fill, free }) => {
      const dir = join(folder, "files");
      // So much that the list of the pages that become free takes many pages itself.
      const numbers = Array.from({ length: 300 }, (_, at) => at + 1);
      const large = (number: number) => content(number).padEnd(60_000, ".");
      await killAfter(dir, async (client) => {
        const stream = new TestStream(client);
        for (const number of numbers) await stream.send(wholeFile(header(number), large(number)));
        for (const number of numbers) await stream.saved(number);
        stream.cancel();
        await stream.ended;
      });
      assert.equal(journalLength(dir), numbers.length);
      await unlink(join(dir, "3_a.bin"));
      fill();
      for (const holdsThird of [Holding.HOLDING_NONE, Holding.HOLDING_STORED]) {
        await withServerOn(dir, async (client) => {
          for (const number of numbers)
            assert.equal((await holding(client, number)).holding, number === 3 ? holdsThird : Holding.HOLDING_STORED);
        });
        if (holdsThird === Holding.HOLDING_NONE) free();
      }
      assert.equal(await readFile(join(dir, "3_a.bin"), "utf8"), large(3));
      assert.equal(journalLength(dir), 0);
    });
    if (!hasDisk) cannotTest("a start on a full disk: no small disk can be mounted");
  });

  for (const failing of ["writing", "naming"] as const)
    it(`leaves no temp files behind where the disk is full when ${failing} them`, () =>
      withFolder(async (dir) => {
        await killAfter(dir, (client) => save(client, 1, 2));
        for (const number of [1, 2]) await unlink(join(dir, `${number}_a.bin`));
        const fail = () => Promise.reject(Object.assign(new Error("ENOSPC"), { code: "ENOSPC" }));
        const writePart: Disk["writeWhole"] = (path, chunks) =>
          nodeDisk.writeWhole(path, [Buffer.concat(chunks).subarray(0, 10)]).then(fail);
        const disk = failing === "naming" ? { ...nodeDisk, giveName: fail } : { ...nodeDisk, writeWhole: writePart };
        const server = await startTestServer(dir, {}, disk);
        assert.deepEqual(await tempNames(dir), []);
        await server.stop();
      }));

  it("makes a file anew at a later start also when it was sent again meanwhile and refused", () =>
    withFolder(async (dir) => {
      await killAfter(dir, (client) => save(client, 1));
      await unlink(join(dir, "1_a.bin"));
      const fail = () => Promise.reject(Object.assign(new Error("ENOSPC"), { code: "ENOSPC" }));
      const server = await startTestServer(dir, {}, { ...nodeDisk, giveName: fail });
      const stream = new TestStream(server.client);
      await stream.send(wholeFile(header(1, { attempt: 2 }), content(1)));
      await stream.refused(1, "REFUSE_REASON_NO_SPACE");
      await stream.close();
      await server.stop();
      await withServerOn(dir, async (client) => {
        assert.equal((await holding(client, 1)).holding, Holding.HOLDING_STORED);
        assert.equal(await readFile(join(dir, "1_a.bin"), "utf8"), content(1));
      });
    }));

  it("leaves a discarded file discarded", () =>
    withFolder(async (dir) => {
      await killAfter(dir, async (client) => {
        await save(client, 1, 2);
        const request = { origin, requestNumber: 1n, uploadId, term: 1n, attempt: 1 };
        assert.equal((await callUnary(client.discard.bind(client), request, 5_000)).discarded, true);
      });
      assert.equal(journalLength(dir), 2);
      await unlink(join(dir, "2_a.bin"));
      await withServerOn(dir, async (client) => {
        assert.equal((await holding(client, 1)).holding, Holding.HOLDING_NONE);
        assert.deepEqual(await storedNames(dir), ["2_a.bin"]);
        const stream = new TestStream(client);
        await stream.send(wholeFile(header(1), content(1)));
        await stream.refused(1, "REFUSE_REASON_STALE_ATTEMPT");
        await stream.close();
      });
    }));

  it("does not read a large file that was stored under the number of a discarded small one: it may be too large to be read", () =>
    withFolder(async (dir) => {
      await killAfter(dir, async (client) => {
        await save(client, 1);
        const request = { origin, requestNumber: 1n, uploadId, term: 1n, attempt: 1 };
        assert.equal((await callUnary(client.discard.bind(client), request, 5_000)).discarded, true);
        const stream = new TestStream(client);
        await stream.send(wholeFile(header(1, { attempt: 2 }), Buffer.alloc(100_000)));
        await stream.saved(1);
        stream.cancel();
        await stream.ended;
      });
      assert.equal(journalLength(dir), 1);
      const read = () => Promise.reject(Object.assign(new Error("too large"), { code: "ERR_FS_FILE_TOO_LARGE" }));
      const server = await startTestServer(dir, {}, { ...nodeDisk, read });
      assert.equal((await holding(server.client, 1)).holding, Holding.HOLDING_STORED);
      await server.stop();
      assert.equal(journalLength(dir), 0);
    }));

  it("brings nothing back that is wiped", () =>
    withFolder(async (dir) => {
      await killAfter(dir, (client) => save(client, 1));
      const server = await startTestServer(dir, { wipe: true });
      assert.deepEqual(await storedNames(dir), []);
      await server.stop();
      await withServerOn(dir, async () => assert.deepEqual(await storedNames(dir), []));
    }));
});

async function withServerOn(dir: string, test: (client: StorageClient) => Promise<void>): Promise<void> {
  const server = await startTestServer(dir);
  try {
    await test(server.client);
  } finally {
    await server.stop();
  }
}
