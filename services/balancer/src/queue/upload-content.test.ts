import assert from "node:assert/strict";
import { open, readdir, stat, unlink } from "node:fs/promises";
import path from "node:path";
import { SaveHeader } from "@bilancia/proto/gen/storage";
import { partCodec } from "@bilancia/proto/part-codec";
import { eventually } from "@bilancia/proto/testing/eventually";
import { crc32c } from "@node-rs/crc32";
import fc from "fast-check";
import { chunkAt, patterned, readOut } from "../test-support/queue-fixtures.js";
import { withTempFolder } from "../test-support/temp-folder.js";
import { type Piece, PieceList } from "./piece.js";
import { Spool } from "./spool.js";
import { SpoolFile } from "./spool-file.js";
import { UploadContent } from "./upload-content.js";

const saveCodec = partCodec(SaveHeader);
const mib = 1024 * 1024;

/** Runs with a spool and a first upload's content; checks at the end that nothing is left of it. */
function withContent(
  maxMemoryBytes: number,
  run: (content: UploadContent, spool: Spool, failures: unknown[], folder: string) => Promise<void>,
): Promise<void> {
  return withTempFolder(async (folder) => {
    const spool = new Spool(folder, { maxMemoryBytes });
    await spool.open();
    const failures: unknown[] = [];
    const content = new UploadContent(spool, 1n, (error) => failures.push(error));
    try {
      await run(content, spool, failures, folder);
    } finally {
      await content.drop();
    }
    assert.equal(spool.memoryBytes, 0);
    assert.deepEqual(await readdir(folder), []);
  });
}

async function appendAll(content: UploadContent, total: number, chunkBytes: number): Promise<void> {
  for (let at = content.receivedBytes; at < total; at += chunkBytes) {
    content.append(chunkAt(at, Math.min(chunkBytes, total - at)));
    await content.ready();
  }
}

/** Takes down how many pieces each write of a spool file has, until it is asked. */
function countedWrites(): () => number[] {
  const counts: number[] = [];
  const { append } = SpoolFile.prototype;
  SpoolFile.prototype.append = function (pieces) {
    counts.push(pieces.length);
    return append.call(this, pieces);
  };
  return () => {
    SpoolFile.prototype.append = append;
    return counts;
  };
}

describe("UploadContent", () => {
  it("keeps a small file in memory, and gives it back whole", () =>
    withContent(64 * mib, async (content, spool, _failures, folder) => {
      await appendAll(content, 400_000, 100_000);
      content.finish(undefined);
      assert.equal(spool.memoryBytes, 400_000);
      assert.deepEqual(await readdir(folder), []);
      assert.deepEqual(await readOut(content.read()), { sizeBytes: 400_000, end: "end" });
      const whole = await content.whole(400_000);
      assert.ok(whole && patterned(0, 400_000).equals(whole.data) && whole.crc32c === crc32c(whole.data));
    }));

  it("puts a large file on disk, and little of it stays in memory", () =>
    withContent(64 * mib, async (content, spool) => {
      await appendAll(content, 20 * mib, 256 * 1024);
      content.finish(undefined);
      await eventually("the bytes to be on disk", () => spool.memoryBytes < mib);
      assert.deepEqual(await readOut(content.read()), { sizeBytes: 20 * mib, end: "end" });
      assert.ok(spool.memoryBytes < mib, `${spool.memoryBytes}`);
    }));

  it("puts also small files on disk when memory is crowded", () =>
    withContent(100_000, async (content, spool) => {
      await appendAll(content, 90_000, 30_000);
      content.finish(undefined);
      await eventually("the bytes to be on disk", () => spool.memoryBytes === 0);
      assert.deepEqual(await readOut(content.read()), { sizeBytes: 90_000, end: "end" });
      const whole = await content.whole(100_000);
      assert.ok(whole && patterned(0, 90_000).equals(whole.data));
    }));

  it("lets a reader follow the writer, and a second reader begin anew", () =>
    withContent(64 * mib, async (content) => {
      const reading = readOut(content.read());
      await appendAll(content, 3 * mib, 200_000);
      const again = content.read();
      assert.equal((await reading).end, "broken");
      const rereading = readOut(again);
      await appendAll(content, 5 * mib, 100_000);
      content.finish(undefined);
      assert.deepEqual(await rereading, { sizeBytes: 5 * mib, end: "end" });
    }));

  it("tells the digest at the end", () =>
    withContent(mib, async (content) => {
      const sha256 = new Uint8Array(32).fill(7);
      content.finish(sha256);
      assert.deepEqual(await content.read().next(), { kind: "end", sizeBytes: 0, sha256 });
    }));

  it("gathers tiny chunks: a file sent byte by byte is not an object for every byte", () =>
    withContent(64 * mib, async (content) => {
      await appendAll(content, 50_000, 1);
      content.finish(undefined);
      const reader = content.read();
      let chunkCount = 0;
      for (let next = await reader.next(); next.kind === "chunk"; next = await reader.next()) chunkCount++;
      assert.ok(chunkCount < 10, `${chunkCount} chunks`);
      assert.deepEqual(await readOut(content.read()), { sizeBytes: 50_000, end: "end" });
    }));

  it("reads large pieces back into messages that can be sent as they are, and small ones not", () =>
    withContent(64 * mib, async (content, spool) => {
      await appendAll(content, 2 * mib, 256 * 1024);
      await appendAll(content, 2 * mib + 20_000, 20_000);
      content.finish(undefined);
      content.spill();
      await eventually("the bytes to be on disk", () => spool.memoryBytes === 0);
      const reader = content.read();
      const ofOwn: number[] = [];
      for (let next = await reader.next(); next.kind === "chunk"; next = await reader.next()) {
        const { raw, offset, data, crc32c: crc } = next.chunk;
        if (raw === undefined) continue;
        ofOwn.push(offset);
        assert.deepEqual(
          saveCodec.decode(raw).parts.map(({ header, finish, ...part }) => part),
          [{ offset, data: Buffer.from(data), crc32c: crc }],
        );
      }
      assert.deepEqual(
        ofOwn,
        Array.from({ length: 8 }, (_, at) => at * 256 * 1024),
      );
      assert.deepEqual(await readOut(content.read()), { sizeBytes: 2 * mib + 20_000, end: "end" });
    }));

  it("keeps nothing in memory for a reader that is far behind, and nothing when the reader leaves", () =>
    withContent(64 * mib, async (content, spool) => {
      await appendAll(content, 20 * mib, 256 * 1024);
      await eventually("the bytes to be on disk", () => spool.memoryBytes < mib);
      const reader = content.read();
      await reader.next();
      await appendAll(content, 30 * mib, 256 * 1024);
      await eventually("what came since to be on disk", () => spool.memoryBytes < mib);
      reader.close();
      const follower = content.read();
      for (let chunk = 0; chunk < 29 * 4; chunk++) await follower.next();
      await appendAll(content, 33 * mib, 256 * 1024);
      await eventually("what is awaited to be all", () => spool.memoryBytes < 5 * mib);
      follower.close();
      await eventually("the rest to be on disk", () => spool.memoryBytes === 0);
    }));

  it("finds damage of its file, and says so instead of passing it on", () =>
    withContent(64 * mib, async (content, spool, failures, folder) => {
      await appendAll(content, 4 * mib, 256 * 1024);
      content.finish(undefined);
      await eventually("the bytes to be on disk", () => spool.memoryBytes < mib);
      const file = await open(path.join(folder, "1.part"), "r+");
      await file.write(Buffer.from([1, 2, 3]), 0, 3, 300_000);
      await file.close();
      await assert.rejects(readOut(content.read()), /the spooled bytes 262144-524288 are damaged on disk/);
      assert.equal(failures.length, 1);
    }));

  it("finds that its file has been cut short", () =>
    withContent(64 * mib, async (content, spool, failures, folder) => {
      await appendAll(content, 4 * mib, 256 * 1024);
      content.finish(undefined);
      await eventually("the bytes to be on disk", () => spool.memoryBytes < mib);
      const file = await open(path.join(folder, "1.part"), "r+");
      await file.truncate(2 * mib + 5);
      await file.close();
      await assert.rejects(readOut(content.read()), /are damaged on disk/);
      assert.equal(failures.length, 1);
    }));

  it("makes its client wait while too much waits for the disk, and lets it go on", () =>
    withContent(1024 * mib, async (content) => {
      content.append(chunkAt(0, 4 * mib));
      assert.equal(content.ready(), undefined);
      content.append(chunkAt(4 * mib, mib));
      const wait = content.ready();
      assert.ok(wait);
      await wait;
      assert.equal(content.ready(), undefined);
    }));

  it("makes its client wait while all uploads together take too much memory", () =>
    withContent(mib, async (content, spool) => {
      spool.account(10 * mib);
      content.append(chunkAt(0, 1_000));
      let waits = true;
      const wait = content.ready()?.then(() => {
        waits = false;
      });
      assert.ok(wait);
      // That its own bytes are on disk by now does not help: the next ones would have no room.
      await content.flush();
      assert.ok(waits);
      spool.account(-10 * mib);
      await wait;
    }));

  it("makes also a client wait that has sent nothing yet, and makes no file for it", () =>
    withContent(mib, async (content, spool) => {
      spool.account(10 * mib);
      const wait = content.ready();
      assert.ok(wait);
      assert.equal(content.spilled, false);
      spool.account(-10 * mib);
      await wait;
    }));

  it("makes its client wait for a reader that is close behind, so that messages are passed on as they came", () =>
    withContent(64 * mib, async (content) => {
      const chunkBytes = 256 * 1024;
      const raw = Buffer.from("the message as it came");
      const reader = content.read();
      const append = () => content.append({ ...chunkAt(content.receivedBytes, chunkBytes), raw });
      while (!content.ready()) append();
      // What has come so far is written to disk meanwhile, which is not what its client waits for.
      await content.flush();
      const waiting = content.ready();
      assert.ok(waiting && content.receivedBytes <= 5 * mib, `${content.receivedBytes}`);
      const first = await reader.next();
      assert.ok(first.kind === "chunk" && first.chunk.raw === raw);
      await waiting;
      append();
      // A reader that begins anew finds nothing in memory: its client goes on.
      while (content.receivedBytes < 12 * mib) append();
      reader.close();
      await content.flush();
      const again = content.read();
      assert.equal(content.ready(), undefined);
      again.close();
    }));

  it("writes a MiB at a time while more comes, and not what the disk is ready for", () =>
    withContent(64 * mib, async (content, _spool, _failures, folder) => {
      const writesOf = countedWrites();
      const { data, crc32c: crc } = chunkAt(0, 256 * 1024);
      const reader = content.read();
      for (let offset = 0; offset < 16 * mib; offset += data.length) {
        content.append({ offset, data, crc32c: crc });
        await reader.next();
        // Longer than a write takes, were there one.
        for (let looks = 0; looks < 3; looks++) await stat(folder);
      }
      await content.flush();
      const piecesCounts = writesOf();
      assert.ok(piecesCounts.length <= 32, `${piecesCounts}`);
    }));

  it("writes what has come, however little, when nothing more comes", () =>
    withContent(64 * mib, async (content, _spool, _failures, folder) => {
      await appendAll(content, 600_000, 100_000);
      await eventually("the bytes to be on disk", async () => {
        const { size } = await stat(path.join(folder, "1.part")).catch(() => ({ size: 0 }));
        return size === 600_000;
      });
    }));

  it("flushes what comes while it writes", () =>
    withContent(64 * mib, async (content, _spool, _failures, folder) => {
      await appendAll(content, 2 * mib, 256 * 1024);
      for (let round = 0; round < 20; round++) {
        content.append(chunkAt(content.receivedBytes, 100_000));
        for (let turns = 0; turns < round % 5; turns++) await new Promise((resolve) => setImmediate(resolve));
        await content.flush();
        assert.equal((await stat(path.join(folder, "1.part"))).size, content.receivedBytes);
      }
    }));

  for (const isRecorded of [true, false])
    it(`leaves its file until it is on disk why it may go (${isRecorded})`, () =>
      withContent(64 * mib, async (content, spool, _failures, folder) => {
        await appendAll(content, mib, 100_000);
        await content.flush();
        let settle = () => {};
        const recorded = new Promise<void>((resolve, reject) => {
          settle = isRecorded ? resolve : () => reject(new Error("the disk is full"));
        });
        const dropped = content.drop(recorded);
        await stat(folder);
        assert.equal(spool.memoryBytes, 0);
        assert.deepEqual(await readdir(folder), ["1.index", "1.part"]);
        settle();
        await dropped;
        const left = await readdir(folder);
        assert.deepEqual(left, isRecorded ? [] : ["1.index", "1.part"]);
        for (const name of left) await unlink(path.join(folder, name));
      }));

  it("lets everybody go who waits when it is dropped", () =>
    withContent(mib, async (content) => {
      content.append(chunkAt(0, 6 * mib));
      const waiting = [content.ready(), content.ready()];
      const reading = readOut(content.read()).catch(() => ({ end: "failed" }));
      await content.drop();
      await Promise.all(waiting);
      assert.notEqual((await reading).end, "end");
      content.append(chunkAt(6 * mib, 5));
    }));

  it("gives nothing out any more once it is dropped: neither less than there was, nor an empty file", () =>
    withContent(64 * mib, async (content, spool) => {
      await appendAll(content, 2 * mib, 100_000);
      content.finish(undefined);
      content.spill();
      await eventually("the bytes to be on disk", () => spool.memoryBytes === 0);
      const joined = assert.rejects(async () => content.whole(2 * mib), /the upload has ended/);
      const reader = content.read();
      await reader.next();
      await content.drop();
      await joined;
      assert.equal((await reader.next()).kind, "broken");
      reader.close();
      assert.equal((await content.read().next()).kind, "broken");
      assert.equal(content.whole(2 * mib), undefined);
    }));

  it("reports a disk that fails, once, and lets its client go", () =>
    withTempFolder(async (folder) => {
      const spool = new Spool(path.join(folder, "missing"), { maxMemoryBytes: mib });
      const failures: unknown[] = [];
      const content = new UploadContent(spool, 1n, (error) => {
        failures.push(error);
        void content.drop();
      });
      content.append(chunkAt(0, 6 * mib));
      await content.ready();
      await eventually("the failure", () => failures.length > 0);
      await content.drop();
      assert.equal(failures.length, 1);
      assert.equal(spool.memoryBytes, 0);
    }));

  it("gives back what it took under any chunk sizes and any interleaving with readers (property)", async () => {
    const sizes = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 10_000, max: 300_000 }));
    const step = fc.record({
      bytes: sizes,
      action: fc.constantFrom("nothing", "wait", "turn", "new reader", "close reader", "read one", "interrupt"),
    });
    const run = fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.constantFrom(100_000, 64 * mib),
      (steps, memory) =>
        withContent(memory, async (content) => {
          let reader = content.read();
          let pending: Promise<unknown> | undefined;
          for (const { bytes, action } of steps) {
            content.append(chunkAt(content.receivedBytes, bytes));
            if (action === "wait") await content.ready();
            else if (action === "turn") await new Promise((resolve) => setImmediate(resolve));
            else if (action === "read one" && !pending) {
              pending = Promise.resolve(reader.next()).finally(() => (pending = undefined));
            } else if (action === "interrupt") content.interrupt("test");
            else if (action === "close reader") reader.close();
            else if (action === "new reader") reader = content.read();
          }
          content.finish(undefined);
          await pending;
          const sizeBytes = steps.reduce((sum, { bytes }) => sum + bytes, 0);
          assert.equal(content.receivedBytes, sizeBytes);
          assert.deepEqual(await readOut(content.read()), { sizeBytes, end: "end" });
        }),
    );
    await fc.assert(run, { numRuns: 60 });
  });
});

describe("PieceList", () => {
  for (const length of [1, 2_000, 100_000]) {
    it(`does not keep a whole message alive for ${length} bytes of it`, () => {
      const message = Buffer.alloc(mib);
      const pieces = new PieceList();
      pieces.append({ offset: 0, data: message.subarray(500, 500 + length), crc32c: 0 });
      const kept = pieces.get(0)?.data?.buffer.byteLength ?? 0;
      assert.ok(kept <= Math.max(2 * length, 8 * 1024), `${kept} bytes are kept`);
    });
  }

  it("keeps a message of one chunk as it came, but none in which there is much beside the data", () => {
    const offset = 2 ** 50;
    const data = patterned(0, 100_000);
    const message = saveCodec.encode({ parts: [{ offset, data, crc32c: 2 ** 32 - 1 }] });
    // A field that nobody knows.
    const padding = (bytes: number) => Buffer.concat([Buffer.from([0x7a, bytes]), Buffer.alloc(bytes)]);
    const keptOf = (raw: Buffer) => {
      const pieces = new PieceList();
      const part = saveCodec.decode(raw).parts[0] ?? assert.fail("no part");
      pieces.append({ offset: 0, data: part.data, crc32c: 0, raw });
      return pieces.get(0)?.raw;
    };
    assert.equal(keptOf(message), message);
    assert.equal(keptOf(Buffer.concat([message, padding(100)])), undefined);
  });

  it("packs what is on disk only at its beginning, at once however much it is, and finds it as before", () => {
    const pieces = new PieceList();
    // As long as all this, and more than 4 GiB: nobody looks at the bytes.
    const lengths = Array.from({ length: 200_000 }, (_, at) => 200_000 + ((at * 7) % 300));
    let offset = 0;
    for (const [at, length] of lengths.entries()) {
      const crc = 2 ** 32 - 1 - at;
      pieces.add({ offset, length, crc32c: crc, data: undefined, raw: undefined, written: true });
      offset += length;
    }
    const before = lengths.map((_, at) => pieces.get(at) as Piece);
    const [inMemory, behind] = [before[700] as Piece, before[701]];
    inMemory.data = patterned(0, 1);
    pieces.pack();
    assert.equal(pieces.packedCount, 700);
    assert.equal(pieces.get(700), inMemory, "what is in memory stays as it is");
    assert.equal(pieces.get(701), behind);
    inMemory.data = undefined;
    pieces.pack();
    assert.equal(pieces.packedCount, lengths.length);
    assert.equal(pieces.length, lengths.length);
    for (const [at, piece] of before.entries()) assert.deepEqual(pieces.get(at), piece);
    assert.equal(pieces.get(lengths.length), undefined);
    for (const at of [0, 1, 699, 700, 199_999]) {
      const { offset: from, length } = before[at] as Piece;
      assert.deepEqual([pieces.indexOf(from, 0), pieces.indexOf(from + length - 1, 0)], [at, at]);
    }
    assert.equal(pieces.indexOf(offset, 0), lengths.length);
  });
});
