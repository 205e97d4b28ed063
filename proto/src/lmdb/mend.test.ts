import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type MendOptions, mendEnvironment } from "./mend.js";
import { tables, work } from "./testing/lmdb-work.js";

describe("mending an environment of LMDB for whose successor there is no room", () => {
  let folder: string;
  let dir: string;
  let file: string;
  const full = "ENOSPC: no space left on device";
  const options: MendOptions<never> = {
    tables,
    isWritten: (_table, { key }) => key.length === 0,
    sync: async () => {},
    copy: async (_damaged, successor) => {
      await mkdir(successor);
      throw new Error(full);
    },
  };

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-mend-"));
    dir = path.join(folder, "index");
    file = path.join(dir, "data.mdb");
    await mkdir(dir);
    await work(dir, [[{ table: "a", key: 1, bytes: 10 }]]);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("goes on with it where an entry is damaged, and says so", async () => {
    const before = readFileSync(file);
    const mended = await mendEnvironment(dir, options);
    assert.equal(mended?.of, "entry");
    assert.equal(mended?.aside, undefined);
    assert.match(
      mended?.problem ?? "",
      /^table "a": what is under the key [0-9a-f]+ is not what was written; it could/,
    );
    assert.ok(mended?.problem.endsWith(full));
    assert.deepEqual(readFileSync(file), before);
    assert.deepEqual(readdirSync(folder), ["index"]);
  });

  it("leaves it where it is, and fails, where its pages are damaged: LMDB must not open it", async () => {
    const bytes = readFileSync(file);
    bytes.fill(0, 2 * 4096);
    writeFileSync(file, bytes);
    await assert.rejects(mendEnvironment(dir, options), { message: full });
    assert.ok(existsSync(file));
  });
});
