import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { lockFolder } from "./folder-lock.js";

const noLocks = () => "unknown" as const;

describe("the lock of a folder", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-lock-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** A process that has taken the folder, or has ended with what it said. */
  async function another(): Promise<{ child: ChildProcess; said: string }> {
    const program = new URL("./folder-lock.js", import.meta.url).href;
    const script = `import { lockFolder } from ${JSON.stringify(program)};
      await lockFolder(process.argv[1]);
      console.log("taken");
      setInterval(() => {}, 1_000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script, folder], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (data: Buffer) => {
      said += data.toString();
    });
    await Promise.race([
      once(child.stdout, "data").then(([data]: Buffer[]) => {
        said = String(data).trim();
      }),
      once(child, "close"),
    ]);
    return { child, said };
  }

  it("is given to one process at a time, and says to which", async function () {
    this.timeout(10_000);
    const unlock = await lockFolder(folder);
    await assert.rejects(lockFolder(folder), { message: `it is in use by process ${process.pid}` });
    assert.match((await another()).said, new RegExp(`Error: it is in use by process ${process.pid}\n`));
    unlock();
    const { child, said } = await another();
    assert.equal(said, "taken");
    await assert.rejects(lockFolder(folder), { message: `it is in use by process ${child.pid}` });
    child.kill("SIGKILL");
    await once(child, "close");
    (await lockFolder(folder))();
  });

  it("is free again at once after the process that had it was killed", async function () {
    this.timeout(10_000);
    const { child } = await another();
    child.kill("SIGKILL");
    await once(child, "close");
    assert.notEqual(await readFile(path.join(folder, "lock"), "utf8"), "", "what it wrote is still there");
    const unlock = await lockFolder(folder);
    unlock();
    assert.equal(await readFile(path.join(folder, "lock"), "utf8"), "");
  });

  for (const text of ["", "null", '{"pid":1', '{"pid":"1"}', "\0\0\0"])
    it(`does not mind what a crash has left in it: ${JSON.stringify(text)}`, async () => {
      await writeFile(path.join(folder, "lock"), text);
      (await lockFolder(folder))();
      (await lockFolder(folder, noLocks))();
    });

  it("goes by the process that is named in it where the system has no locks", async function () {
    this.timeout(10_000);
    const { child } = await another();
    await assert.rejects(lockFolder(folder, noLocks), { message: `it is in use by process ${child.pid}` });
    child.kill("SIGKILL");
    await once(child, "close");
    const unlock = await lockFolder(folder, noLocks);
    await assert.rejects(lockFolder(folder, noLocks), { message: `it is in use by process ${process.pid}` });
    unlock();
    (await lockFolder(folder, noLocks))();
  });

  it("is not that of a folder that is missing", () =>
    assert.rejects(lockFolder(path.join(folder, "missing")), { code: "ENOENT" }));
});
