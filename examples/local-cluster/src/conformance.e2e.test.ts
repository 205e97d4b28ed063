import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { balancerScript, storageScript } from "./cluster.js";
import { lbCliScript } from "./lb-cli.js";
import { neverOverloaded } from "./test-support/test-cluster.js";

const serveAgain = fileURLToPath(new URL("../../serve-again.sh", import.meta.url));

describe("the conformance kit, on processes that it kills on the way", function () {
  this.timeout(180_000);
  const pidFiles: string[] = [];
  let root: string;
  let storage: Promise<void>;
  let balancer: Promise<void>;

  before(async () => {
    root = await mkdtemp(path.join(tmpdir(), "bilancia-conformance-"));
    // Mostly the kits wait: for what must not come, and for programs that start again. They do so together.
    storage = tryStorage();
    balancer = tryBalancer();
    // What fails is told by its test.
    await Promise.allSettled([storage, balancer]);
  });
  after(async () => {
    for (const pidFile of pidFiles) {
      const pid = Number(await readFile(pidFile, "utf8").catch(() => ""));
      if (pid > 0) process.kill(pid, "SIGKILL");
    }
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
  });

  /** Starts a program on a free port. The command kills it and starts it again. */
  async function serve(name: string, script: string, args: readonly string[]) {
    const port = await freePort();
    const address = `127.0.0.1:${port}`;
    const pidFile = path.join(root, `${name}.pid`);
    pidFiles.push(pidFile);
    const command = [serveAgain, pidFile, String(port), process.execPath, script, "--listen", address, ...args];
    const started = await run("bash", command);
    assert.equal(started.code, 0, started.output);
    return { address, restartCmd: command.map((word) => `'${word}'`).join(" ") };
  }

  /** Everything must hold, and nothing be left out. */
  async function assertConforms(kind: string, address: string, ...options: string[]): Promise<void> {
    const kit = await run(process.execPath, [lbCliScript, "conformance", kind, address, ...options]);
    assert.equal(kit.code, 0, kit.output);
    assert.doesNotMatch(kit.output, /^(fails|not tested|not implemented)/m);
  }

  async function tryStorage(): Promise<void> {
    const dir = path.join(root, "files");
    const limits = ["--overload-files", "12:6", "--max-files-in-progress", "24", "--overload-event-loop-ms", "off"];
    const { address, restartCmd } = await serve("storage", storageScript, ["--dir", dir, ...limits]);
    const options = ["--restart-cmd", restartCmd, "--overload-files", "12", "--busy-files", "24"];
    await assertConforms("storage", address, ...options);
    assert.deepEqual(await readdir(dir), [".bilancia"]);
  }

  async function tryBalancer(): Promise<void> {
    const dirs = [1, 2].map((number) => path.join(root, `files-${number}`));
    const servers: string[] = [];
    for (const [index, dir] of dirs.entries()) {
      const name = `storage-${index + 1}`;
      const { address } = await serve(name, storageScript, ["--name", name, "--dir", dir, ...neverOverloaded]);
      servers.push("--server", `name=${name},address=${address},weight=1`);
    }
    const config = path.join(root, "balancer.yaml");
    await writeFile(config, "limits: { maxFileBytes: 70000000, maxQueuedFiles: 500 }\n");
    const state = [
      "--state-dir",
      path.join(root, "state"),
      "--log-file",
      "",
      "--admin-listen",
      "127.0.0.1:0",
      "--web-listen",
      "",
    ];
    const args = ["--config", config, ...state, ...servers];
    const { address, restartCmd } = await serve("balancer", balancerScript, args);
    const options = ["--restart-cmd", restartCmd, "--max-file-bytes", "70000000", "--queue-files", "500"];
    await assertConforms("balancer", address, ...options);
    const numbers = (await Promise.all(dirs.map((dir) => readdir(dir))))
      .flat()
      .flatMap((name) => name.match(/^\d+_/) ?? []);
    assert.ok(numbers.length > 500);
    assert.equal(new Set(numbers).size, numbers.length);
  }

  it("passes a storage server in every check, and leaves nothing on it", () => storage);

  it("passes a balancer in every check, and no upload is on the disks twice", () => balancer);
});

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, "close");
  return port;
}

/** Runs a program to its end. */
async function run(program: string, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const output = await text(child.stdout);
  return { code: await ended, output };
}
