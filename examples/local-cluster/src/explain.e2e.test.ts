import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { lbCliEnvironment, lbCliScript } from "./lb-cli.js";
import { eventually } from "./test-support/eventually.js";
import { allPassed, neverOverloaded, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, UploadSession, uploadHeader } from "./test-support/upload-session.js";

interface Explained {
  readonly choices: readonly {
    readonly server: string;
    readonly candidates: readonly { server: string; state: string; compared: boolean; before: number; after: number }[];
  }[];
  readonly attempts: readonly { server: string }[];
}

describe("lb-cli explain", function () {
  this.timeout(60_000);
  let test: TestCluster;
  let folder: string;
  let picks: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-picks-"));
    picks = path.join(folder, "picks.jsonl");
    const balancerConfig = `picks: { keep: 7, file: ${JSON.stringify(picks)} }\n`;
    test = await TestCluster.start({ weights: [5, 1, 1], serverArgs: neverOverloaded, balancerConfig });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
    await rm(folder, { recursive: true, force: true });
  });

  function lbCli(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const env = lbCliEnvironment(test.cluster.balancer);
    return new Promise((resolve) => {
      execFile(process.execPath, [lbCliScript, ...args], { env, cwd: test.folder }, (error, stdout, stderr) =>
        resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
      );
    });
  }

  it("tells why a file went where it went, and says so when that is forgotten", async () => {
    await lbCli("servers", "drain", "storage-3");
    const session = new UploadSession(test.cluster.balancer.address);
    const receipts = [];
    for (let index = 1; index <= 12; index += 1) {
      receipts.push(receiptOf(await session.upload(uploadHeader({ name: `${index}.bin` }), Buffer.from([index]))));
    }
    session.close();
    const [first, last] = [receipts[0], receipts.at(-1)];
    assert.ok(first && last);

    const told = await lbCli("explain", String(last.requestNumber));
    assert.equal(told.code, 0, told.stderr);
    assert.match(
      told.stdout,
      new RegExp(`went to ${last.server} after .*, whose turn it was by files: among 2 servers`),
    );
    assert.match(told.stdout, /storage-3 was left out: drained for .* \(an operator drains it\)\./);

    const explained = JSON.parse((await lbCli("explain", String(last.requestNumber), "--json")).stdout) as Explained;
    const [choice] = explained.choices;
    assert.equal(choice?.server, last.server);
    assert.deepEqual(
      choice?.candidates.map(({ server, state, compared }) => `${server} ${state} ${compared}`),
      ["storage-1 available true", "storage-2 available true", "storage-3 drained false"],
    );
    // What all have grown by is what the chosen one pays.
    const sum = choice?.candidates.slice(0, 2).reduce((total, { before, after }) => total + after - before, 0);
    assert.ok(Math.abs(sum ?? 1) < 1e-9, String(sum));

    const forgotten = await lbCli(
      "explain",
      String(first.requestNumber),
      "--audit",
      path.join(test.folder, "balancer", "audit.jsonl"),
    );
    assert.equal(forgotten.code, 0, forgotten.stderr);
    assert.match(forgotten.stdout, new RegExp(`attempt 1 +${first.server}, saved`));
    assert.match(forgotten.stdout, /Why is not known any more: .* it keeps the last 7, since /);
    assert.match(forgotten.stdout, /What the audit has:\nrequest /);

    const unknown = await lbCli("explain", "4711");
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /the balancer knows no upload with the request number 4711/);
  });

  it("finds each choice and its end in the trace", async () => {
    await eventually(async () => {
      const lines = (await readFile(picks, "utf8")).trimEnd().split("\n");
      const kinds = lines.map((line) => (JSON.parse(line) as { kind: string }).kind);
      assert.equal(kinds.filter((kind) => kind === "pick").length, 12);
      assert.equal(kinds.filter((kind) => kind === "end").length, 12);
    });
  });

  it("can be simulated under other weights", async () => {
    const { code, stdout, stderr } = await lbCli(
      "simulate",
      "--trace",
      picks,
      "--weights",
      "storage-1=1,storage-2=2",
      "--json",
    );
    assert.equal(code, 0, stderr);
    const result = JSON.parse(stdout) as Record<
      "recorded" | "simulated",
      { servers: { server: string; files: number }[] }
    >;
    const shares = (side: "recorded" | "simulated") =>
      result[side].servers.map(({ server, files }) => `${server} ${files}`);
    assert.deepEqual(shares("recorded"), ["storage-1 10", "storage-2 2", "storage-3 0"]);
    assert.deepEqual(shares("simulated"), ["storage-1 4", "storage-2 8", "storage-3 0"]);
  });
});
