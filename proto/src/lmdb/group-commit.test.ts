import assert from "node:assert/strict";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { platform, tmpdir } from "node:os";
import path from "node:path";
import { open, type RootDatabase } from "lmdb";
import { cannotTest } from "../testing/cannot-test.js";
import { GroupCommit, groupCommitOptions } from "./group-commit.js";
import { failingWrites } from "./testing/failing-writes.js";

const key = (number: number) => Buffer.from(`key ${number}`);

describe("group commit", () => {
  let folder: string;
  beforeEach(() => {
    folder = realpathSync(mkdtempSync(path.join(tmpdir(), "bilancia-group-commit-")));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  async function withRoot(run: (root: RootDatabase<Buffer, Buffer>, commits: GroupCommit) => Promise<void>) {
    const options = { ...groupCommitOptions, encoding: "binary", keyEncoding: "binary" } as const;
    const root = open<Buffer, Buffer>({ path: folder, ...options });
    await run(root, new GroupCommit(() => root)).finally(() => root.close());
  }

  it("makes the writes of one turn one transaction, in their order, and tells each when it is over", () =>
    withRoot(async (root, commits) => {
      const over: number[] = [];
      let transactions = 0;
      const counted = new GroupCommit(() => {
        transactions += 1;
        return root;
      });
      const writes = [1, 2, 3].map((number) =>
        counted.write(() => [root.put(key(0), Buffer.from([number]))], { done: () => over.push(number) }),
      );
      assert.deepEqual(over, []);
      assert.equal(root.get(key(0)), undefined);
      await Promise.all(writes);
      assert.deepEqual(over, [1, 2, 3]);
      assert.deepEqual(root.get(key(0)), Buffer.from([3]));
      assert.equal(transactions, 1);
      assert.equal(commits.failed, undefined);
    }));

  it("has a lazy write go with the next one, or alone after a while, or before it is settled", () =>
    withRoot(async (root, commits) => {
      const order: string[] = [];
      const put = (name: string, lazy: boolean) =>
        commits.write(
          () => {
            order.push(name);
            return [root.put(key(1), Buffer.from(name))];
          },
          { lazy },
        );
      void put("lazy", true);
      await put("awaited", false);
      assert.deepEqual(order.splice(0), ["lazy", "awaited"]);
      await put("alone", true);
      assert.deepEqual(order.splice(0), ["alone"]);
      void put("last", true);
      await commits.settled();
      assert.deepEqual(order, ["last"]);
      assert.deepEqual(root.get(key(1)), Buffer.from("last"));
    }));

  it("fails whoever waits, and whoever comes later, with the one reason when LMDB cannot write, and leaves no rejection behind", async () => {
    if (platform() !== "linux") return cannotTest("failing writes of LMDB: there is no /proc/self/fd");
    let survivors = 0;
    for (let round = 0; round < 20 && survivors < 3; round++) {
      const result = await failingWrites(folder);
      if (!result) continue;
      survivors += 1;
      const { written, before, failed, told, unhandled } = result;
      assert.deepEqual(unhandled, []);
      assert.equal(told, 1);
      assert.equal(written, before);
      const [[reason, count] = [], ...others] = Object.entries(failed);
      assert.deepEqual(others, []);
      assert.match(String(reason), /^not written: Error: (Bad file descriptor|EBADF)/);
      assert.equal(count, 2_000);
    }
    assert.equal(survivors, 3);
  });
});
