import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { balancerScript } from "./cluster.js";
import { lbCliScript } from "./lb-cli.js";
import { runScript } from "./test-support/run-script.js";
import { SteadyLoad } from "./test-support/steady-load.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";

describe("a second balancer on the state of one that runs", function () {
  this.timeout(60_000);
  let test: TestCluster;

  before(async () => {
    test = await TestCluster.start({ weights: [1, 1] });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("is refused, says who has it, and does no harm to the uploads under way", async () => {
    const { balancer, servers } = test.cluster;
    const stateDir = path.join(test.folder, "balancer");
    const before = (await readdir(stateDir)).sort();
    const load = new SteadyLoad(balancer.address);
    const listed = servers.flatMap(({ name, address }) => ["--server", `name=${name},address=${address},weight=1`]);
    const listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--web-listen", ""];
    const args = ["--state-dir", stateDir, "--log-file", path.join(test.folder, "second.log"), ...listen, ...listed];
    for (const queue of ["embedded", "memory"]) {
      const env = { ...process.env, BILANCIA_QUEUE: queue };
      const second = await runScript(balancerScript, args, { env, timeoutMs: 20_000 });
      assert.deepEqual(second, {
        ...{ code: 1, stdout: "" },
        stderr: `bilancia-balancer: cannot use the state folder ${stateDir}: it is in use by process ${balancer.pid}\n`,
      });
    }
    await load.stop();
    assert.ok(load.sent > 100, `${load.sent} files were sent`);
    await load.assertStoredOnce(servers);
    assert.deepEqual((await readdir(stateDir)).sort(), before);
    assert.equal((await test.cluster.killBalancer("SIGTERM")).code, 0);
    const audit = await runScript(lbCliScript, ["audit", "verify", "--audit", path.join(stateDir, "audit.jsonl")]);
    assert.equal(audit.code, 0, audit.stdout + audit.stderr);
  });
});

describe("a second balancer with a state of its own and the audit file of one that runs", function () {
  this.timeout(60_000);

  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-audit-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const args = (name: string) => [
    ...["--state-dir", path.join(folder, name), "--log-file", path.join(folder, `${name}.log`)],
    ...[
      "--listen",
      "127.0.0.1:0",
      "--admin-listen",
      "127.0.0.1:0",
      "--web-listen",
      "",
      "--server",
      "name=one,address=127.0.0.1:1",
    ],
  ];
  async function startWith(env: NodeJS.ProcessEnv, name: string) {
    const child = spawn(process.execPath, [balancerScript, ...args(name)], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    return child;
  }

  /** A start with an audit that another process has. */
  async function assertRefused(file: string, holder: ChildProcess): Promise<void> {
    const env = { ...process.env, BILANCIA_AUDIT__FILE: file };
    assert.deepEqual(await runScript(balancerScript, args("second"), { env, timeoutMs: 20_000 }), {
      ...{ code: 1, stdout: "" },
      stderr: `bilancia-balancer: cannot use the audit file ${file}: it is in use by process ${holder.pid}\n`,
    });
  }

  it("is refused where that is in the state of the other, whatever it is called", async () => {
    const first = await startWith(process.env, "first");
    try {
      const file = path.join(folder, "first", "audit.jsonl");
      const link = path.join(folder, "link.jsonl");
      await symlink(file, link);
      for (const named of [file, link]) await assertRefused(named, first);
    } finally {
      first.kill("SIGTERM");
      await once(first, "close");
    }
  });

  it("is refused, and says who has it", async () => {
    const file = path.join(folder, "audits", "audit.jsonl");
    const env = { ...process.env, BILANCIA_AUDIT__FILE: file };
    const start = (name: string) => startWith(env, name);
    const first = await start("first");
    try {
      await assertRefused(file, first);
    } finally {
      first.kill("SIGTERM");
      await once(first, "close");
    }
    // Whoever had it has given it back by ending.
    const again = await start("second");
    again.kill("SIGTERM");
    assert.deepEqual(await once(again, "close"), [0, null]);
  });
});
