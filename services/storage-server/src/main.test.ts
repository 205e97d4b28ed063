import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { StorageClient } from "@bilancia/proto/services";
import { cannotTest } from "@bilancia/proto/testing/cannot-test";
import { eventually } from "@bilancia/proto/testing/eventually";
import { credentials } from "@grpc/grpc-js";
import { startStorageProgram, storageProgram } from "./testing/storage-program.js";
import { storedNames, tempNames, withFolder } from "./testing/test-server.js";
import { header, sha256, TestStream, wholeFile } from "./testing/test-stream.js";

/** Runs the program to its end. */
async function run(args: string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [storageProgram, ...args], { env: { ...process.env, ...env } });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text) => {
    stdout += text;
  });
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, stdout, stderr };
}

describe("bilancia-storage", () => {
  it("loses and doubles nothing that it acknowledged when it is killed in the middle of saves", () =>
    withFolder(async (dir) => {
      const files = Array.from({ length: 300 }, (_, at) => ({
        header: header(at + 1, { uploadId: randomUUID(), name: `f${at}` }),
        data: randomBytes(at % 10 === 0 ? 200_000 : 500),
      }));
      const acknowledged = new Set<bigint>();
      let duplicates = 0;
      // Killed earlier and later in its work; the last life may finish.
      for (const killAfterCount of [1, 20, 90, 200, undefined]) {
        const { child, address, exited } = await startStorageProgram(dir);
        assert.deepEqual(await tempNames(dir), []);
        const client = new StorageClient(address, credentials.createInsecure());
        const stream = new TestStream(client);
        const sending = (async () => {
          for (const { header: fileHeader, data } of files) await stream.send(wholeFile(fileHeader, data));
        })();
        await eventually(
          `${killAfterCount ?? files.length} answers`,
          () => stream.results.length >= (killAfterCount ?? files.length),
        );
        child.kill(killAfterCount === undefined ? "SIGTERM" : "SIGKILL");
        await Promise.race([sending, stream.ended]);
        await stream.ended;
        client.close();
        assert.equal(await exited, killAfterCount === undefined ? 0 : "SIGKILL");
        const lost = new Set(acknowledged);
        for (const { requestNumber, outcome } of stream.results) {
          assert.equal(outcome?.$case, "saved");
          if (outcome?.$case === "saved" && outcome.value.duplicate) {
            duplicates++;
            lost.delete(requestNumber);
          }
          acknowledged.add(requestNumber);
        }
        // What an earlier life acknowledged is a duplicate in the last, never new.
        if (killAfterCount === undefined) assert.deepEqual([...lost], []);
      }
      assert.ok(duplicates > 0);
      assert.deepEqual(
        await storedNames(dir),
        files.map(({ header: { requestNumber, name } }) => `${requestNumber}_${name}`).sort(),
      );
      for (const { header: fileHeader, data } of files) {
        const stored = await readFile(join(dir, `${fileHeader.requestNumber}_${fileHeader.name}`));
        assert.deepEqual(sha256(stored), sha256(data));
      }
      assert.deepEqual(await tempNames(dir), []);
    })).timeout(40_000);

  it("ends with 130 on a second signal", () =>
    withFolder(async (dir) => {
      const { child, address, exited } = await startStorageProgram(dir);
      const client = new StorageClient(address, credentials.createInsecure());
      const stream = new TestStream(client);
      await stream.send({ header: header(1), offset: 0, data: Buffer.from("a") });
      await stream.accepted(1);
      child.kill("SIGINT");
      // New files are put off once it is stopping; until then they are taken.
      let number = 2;
      await eventually("the stop", async () => {
        const probe = new TestStream(client);
        await probe.send(wholeFile(header(number), "x"));
        const outcome = await Promise.race([probe.final(number++).catch(() => undefined), probe.ended]);
        return !outcome || "code" in outcome || outcome.$case === "busy";
      });
      child.kill("SIGINT");
      assert.equal(await exited, 130);
      await stream.ended;
      client.close();
    }));

  it("serves on and stops properly when its log cannot be written", () => {
    if (!existsSync("/dev/full")) return cannotTest("a log that cannot be written: there is no /dev/full");
    return withFolder(async (dir) => {
      const holder = createServer().listen(0, "127.0.0.1");
      await once(holder, "listening");
      const address = `127.0.0.1:${(holder.address() as AddressInfo).port}`;
      await new Promise((resolve) => holder.close(resolve));
      const full = openSync("/dev/full", "w");
      const child = spawn(process.execPath, [storageProgram, "--listen", address, "--dir", dir], {
        stdio: ["ignore", full, "pipe"],
      });
      closeSync(full);
      let stderr = "";
      child.stderr?.on("data", (text) => {
        stderr += text;
      });
      const exited = once(child, "exit");
      const client = new StorageClient(address, credentials.createInsecure());
      await new Promise<void>((resolve, reject) =>
        client.waitForReady(Date.now() + 10_000, (error) => (error ? reject(error) : resolve())),
      );
      for (const number of [1, 2]) {
        const stream = new TestStream(client);
        await stream.send(wholeFile(header(number), "abc"));
        await stream.saved(number);
        await stream.close();
        await eventually("the complaint", () => stderr !== "");
      }
      client.close();
      child.kill("SIGTERM");
      assert.deepEqual(await exited, [0, null]);
      assert.equal(
        stderr,
        "bilancia: standard output cannot be written (ENOSPC): log lines are dropped until it can\n",
      );
      assert.deepEqual(await storedNames(dir), ["1_a.bin", "2_a.bin"]);
    });
  });

  for (const [args, env, message] of [
    [["--colour", "red"], {}, /^bilancia-storage: unknown option '--colour'; see --help\n$/],
    [["--listen", "x"], {}, /^bilancia-storage: --listen: expected host:port.*, got "x"\n$/],
    [["--grace"], {}, /^bilancia-storage: option '--grace <duration>' argument missing; see --help\n$/],
    [
      [],
      { BILANCIA_STORAGE_OVERLOAD_FILES: "many" },
      /^bilancia-storage: BILANCIA_STORAGE_OVERLOAD_FILES: expected HIGH.*, got "many"\n$/,
    ],
    [
      [],
      { BILANCIA_STORAGE_TLS__CERT: "cert.pem" },
      /^bilancia-storage: BILANCIA_STORAGE_TLS__CERT: there is no such variable; see --help\n$/,
    ],
    [["surplus"], {}, /^bilancia-storage: too many arguments.*\n$/],
  ] as const)
    it(`ends with 2 and one line for ${JSON.stringify([...args, env])}`, async () => {
      const { code, stdout, stderr } = await run([...args], env);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, message);
    });

  it("ends with 1 and one line when the directory is in use", () =>
    withFolder(async (dir) => {
      const { child, exited } = await startStorageProgram(dir);
      const { code, stderr } = await run(["--listen", "127.0.0.1:0", "--dir", dir]);
      assert.equal(code, 1);
      assert.equal(stderr, `bilancia-storage: cannot use the directory ${dir}: it is in use by process ${child.pid}\n`);
      child.kill("SIGTERM");
      assert.equal(await exited, 0);
    }));

  it("has help with examples", async () => {
    const { code, stdout } = await run(["--help"]);
    assert.equal(code, 0);
    assert.match(stdout, /Examples:\n {2}bilancia-storage --name storage-1/);
  });
});
