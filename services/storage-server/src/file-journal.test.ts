import assert from "node:assert/strict";
import { join } from "node:path";
import { GroupCommit } from "@bilancia/proto/lmdb/group-commit";
import { open } from "lmdb";
import { FileJournal } from "./file-journal.js";
import { indexOptions, openTable } from "./index-tables.js";
import { withFolder } from "./testing/test-server.js";
import { origin } from "./testing/test-stream.js";

const roomy = { take: () => () => {} };
/** Lengths of what is before the bytes of a file: see `FileJournal`. */
const headLengthBytes = 32;

describe("the journal", () => {
  it("finds every other file of a pack, whichever bit of one is wrong", () =>
    withFolder(async (dir) => {
      const environment = open({ path: join(dir, "index"), ...indexOptions });
      const journal = new FileJournal(environment, new GroupCommit(() => environment), roomy as never);
      const contents = ["first", "", "x".repeat(40), "\0".repeat(30), "last"].map((text) => Buffer.from(text));
      const packs = contents.map((bytes, at) =>
        journal.add({ origin, requestNumber: BigInt(at + 1) }, [bytes], bytes.length),
      );
      const [{ sequence = 0n, flushed } = {}] = packs;
      await flushed;
      assert.ok(packs.every((pack) => pack.sequence === sequence));
      const table = openTable(environment, "packs");
      const [{ key, value }] = Array.from(table.getRange({ limit: 1 })) as [{ key: Buffer; value: Buffer }];
      const [packKey, pack] = [Buffer.from(key), Buffer.from(value)];
      let begin = 0;
      for (const [at, { length }] of contents.entries()) {
        const end = begin + headLengthBytes + length;
        for (let bit = begin * 8; bit < end * 8; bit++) {
          const damaged = Buffer.from(pack);
          damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          table.putSync(packKey, damaged);
          const files = journal.read(sequence);
          const whole = files.flatMap(({ id, bytes }) =>
            bytes ? [[Number(id.requestNumber) - 1, String(bytes)]] : [],
          );
          const expected = contents.flatMap((bytes, other) => (other === at ? [] : [[other, String(bytes)]]));
          assert.deepEqual(whole, expected, `bit ${bit - begin * 8} of file ${at}`);
          assert.ok(files.length > whole.length);
        }
        begin = end;
      }
      await environment.close();
    }));
});
