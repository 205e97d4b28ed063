import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFile, readdir, truncate, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tempFolder } from "../testing/temp-folder.js";
import { SourceError } from "./errors.js";
import { fileSource, unreadableSource } from "./file-source.js";
import { spoolStream } from "./spooled-source.js";
import type { UploadSource } from "./upload-source.js";

const description = { name: "f.bin", kind: "binary", contentType: "" } as const;

async function readFrom(source: UploadSource, offsetBytes: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source.open(offsetBytes)) pieces.push(piece);
  return Buffer.concat(pieces);
}

describe("fileSource", () => {
  const bytes = randomBytes(700_000);
  let folder: Awaited<ReturnType<typeof tempFolder>>;
  let path: string;
  beforeEach(async () => {
    folder = await tempFolder({ "f.bin": bytes });
    path = join(folder.path, "f.bin");
  });
  afterEach(() => folder.remove());

  it("reads from any position, as often as wanted", async () => {
    const source = await fileSource(path, description);
    assert.equal(source.sizeBytes, bytes.length);
    for (const offset of [0, 1, 262_144, 699_999, 700_000])
      assert.ok((await readFrom(source, offset)).equals(bytes.subarray(offset)), `from ${offset}`);
  });

  it("fails when the file has grown, shrunk or been written to since", async () => {
    const source = await fileSource(path, description);
    await appendFile(path, "x");
    await assert.rejects(readFrom(source, 0), /changed while it was uploaded: expected 700000 bytes, found 700001/);
    const longer = await fileSource(path, description);
    await truncate(path, 10);
    await assert.rejects(readFrom(longer, 0), /expected 700001 bytes, found 10/);
    const same = await fileSource(path, description);
    await utimes(path, 1, 1);
    await assert.rejects(readFrom(same, 0), SourceError);
  });

  it("fails when the file shrinks while it is read", async () => {
    const source = await fileSource(path, description);
    const reading = source.open(0)[Symbol.asyncIterator]();
    await reading.next();
    await truncate(path, 100);
    await assert.rejects(async () => {
      while (!(await reading.next()).done);
    }, /(shrank|changed) while it was/);
  });

  it("fails when it is read, if there is no such file or it is a folder", async () => {
    const missing = await fileSource(join(folder.path, "nothing"), description);
    await assert.rejects(readFrom(missing, 0), /nothing: no such file or folder/);
    await assert.rejects(readFrom(await fileSource(folder.path, description), 0), /it is a folder/);
    const locked = unreadableSource("locked", description, "permission denied");
    await assert.rejects(async () => readFrom(locked, 0), /^Error: cannot read locked: permission denied$/);
  });
});

describe("spoolStream", () => {
  it("keeps pieces of any size, one behind the other", async () => {
    const bytes = randomBytes(3_000_000);
    async function* stream() {
      for (const [from, to] of [
        [0, 1],
        [1, 1],
        [1, 2_500_000],
        [2_500_000, 2_500_007],
        [2_500_007, bytes.length],
      ])
        yield bytes.subarray(from, to);
    }
    const source = await spoolStream(stream(), description);
    try {
      assert.equal(source.sizeBytes, bytes.length);
      assert.ok((await readFrom(source, 0)).equals(bytes));
    } finally {
      await source.close();
    }
  });

  it("makes a stream readable again, and leaves nothing behind", async () => {
    const before = new Set(await readdir(tmpdir()));
    async function* stream() {
      yield Buffer.from("hello ");
      yield Buffer.from("world");
    }
    const source = await spoolStream(stream(), description);
    try {
      const left = (await readdir(tmpdir())).filter((name) => /^lb-cli-[^t]/.test(name) && !before.has(name));
      assert.deepEqual(left, []);
      assert.equal(source.sizeBytes, 11);
      assert.equal((await readFrom(source, 0)).toString(), "hello world");
      assert.equal((await readFrom(source, 6)).toString(), "world");
    } finally {
      await source.close();
    }
  });
});
