import assert from "node:assert/strict";
import { GroupCommit } from "@bilancia/proto/lmdb/group-commit";
import { open } from "lmdb";
import { FileIndex, type FileRecord } from "./file-index.js";
import { indexOptions } from "./index-tables.js";
import { withFolder } from "./testing/test-server.js";
import { origin, uploadId } from "./testing/test-stream.js";

const record: FileRecord = {
  ...{ state: "stored", uploadId, storedBy: { term: 1n, attempt: 2 }, fence: { term: 2n ** 63n, attempt: 3 } },
  ...{
    storedName: "1_é.txt",
    sizeBytes: 2 ** 40,
    modifiedNs: 1_700_000_000_123_456_789n,
    sha256: "00ff",
    storedAtMs: 5,
  },
  stats: { lettersA: 1, characters: 2 },
};
const id = { origin, requestNumber: 2n ** 64n - 1n };

describe("file index", () => {
  it("gives back what was put, after it has been closed and opened again", () =>
    withFolder(async (path) => {
      const first = open({ path, ...indexOptions });
      const index = new FileIndex(first, new GroupCommit(() => first), assert.fail);
      await index.put(id, record);
      await index.put({ origin, requestNumber: 7n }, { state: "discarded", uploadId, fence: { term: 1n, attempt: 1 } });
      await first.close();
      const second = open({ path, ...indexOptions });
      const again = new FileIndex(second, new GroupCommit(() => second), assert.fail);
      assert.deepEqual(again.get(id), record);
      assert.equal(again.get({ origin, requestNumber: 7n })?.state, "discarded");
      assert.equal(again.get({ origin: origin.replaceAll("0", "1"), requestNumber: 7n }), undefined);
      assert.equal(again.clear(), 2);
      assert.equal(again.get(id), undefined);
      await second.close();
    }));

  it("reports a damaged record and treats it as absent", () =>
    withFolder(async (path) => {
      const environment = open({ path, ...indexOptions });
      const problems: string[] = [];
      const index = new FileIndex(environment, new GroupCommit(() => environment), ({ requestNumber }, problem) =>
        problems.push(`${requestNumber} ${problem}`),
      );
      await index.put({ origin, requestNumber: 1n }, record);
      const raw = environment.openDB<Buffer, Buffer>({ name: "files", encoding: "binary", keyEncoding: "binary" });
      const [entry] = raw.getRange();
      assert.ok(entry);
      const key = Buffer.from(entry.key);
      const good = Buffer.from(entry.value);
      for (let at = 0; at < good.length; at++) {
        const damaged = Buffer.from(good);
        damaged.writeUInt8(damaged.readUInt8(at) ^ 4, at);
        await raw.put(key, damaged);
        assert.equal(index.get({ origin, requestNumber: 1n }), undefined, `byte ${at}`);
      }
      await raw.put(key, Buffer.alloc(2));
      assert.equal(index.get({ origin, requestNumber: 1n }), undefined);
      // A whole record in the wrong place is damage too.
      await raw.put(Buffer.from(key).fill(9, 23), good);
      assert.equal(index.get({ origin, requestNumber: 9n }), undefined);
      assert.equal(problems.length, good.length + 2);
      assert.match(problems.at(-1) ?? "", /^9 the checksum/);
      await environment.close();
    }));
});
