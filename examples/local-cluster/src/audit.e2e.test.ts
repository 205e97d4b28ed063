import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { Kind } from "@bilancia/proto/gen/storage";
import { lbCliScript } from "./lb-cli.js";
import { eventually } from "./test-support/eventually.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, textDocument, UploadSession, uploadHeader } from "./test-support/upload-session.js";

interface Entry {
  readonly kind: string;
  readonly sha256?: string;
  readonly server?: string;
}

describe("the audit of a balancer that is killed", function () {
  this.timeout(60_000);
  let test: TestCluster;
  let file: string;

  before(async () => {
    test = await TestCluster.start({ weights: [1] });
    file = path.join(test.folder, "balancer", "audit.jsonl");
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  function lbCli(...args: string[]): Promise<{ code: number; lines: Entry[] }> {
    return new Promise((resolve) => {
      execFile(process.execPath, [lbCliScript, ...args, "--audit", file, "--json"], (error, stdout) => {
        const lines = stdout.split("\n").filter((line) => line !== "");
        resolve({ code: Number(error?.code ?? 0), lines: lines.map((line) => JSON.parse(line) as Entry) });
      });
    });
  }

  async function upload(name: string) {
    const session = new UploadSession(test.cluster.balancer.address);
    try {
      return receiptOf(await session.upload(uploadHeader({ name, kind: Kind.KIND_TEXT_DOCUMENT }), textDocument(10)));
    } finally {
      session.close();
    }
  }

  it("goes on behind a torn line, tells each file's story, and shows when it was altered", async () => {
    const before = await upload("before.json");
    // Nobody waits for the audit, neither does the answer to the client.
    await eventually(async () => assert.match(await readFile(file, "utf8"), /"kind":"stored"/));
    await test.cluster.killBalancer("SIGKILL");
    await appendFile(file, '{"seq":');
    assert.equal((await lbCli("audit", "verify")).code, 1);

    await test.cluster.startBalancer();
    const behind = await upload("behind.json");
    assert.equal((await test.cluster.killBalancer("SIGTERM")).code, 0);
    assert.equal(await readFile(`${file}.torn-1`, "utf8"), '{"seq":');
    assert.equal((await lbCli("audit", "verify")).code, 0);

    const story = await lbCli("trace", String(behind.requestNumber));
    assert.deepEqual(
      story.lines.map(({ kind }) => kind),
      ["received", "queued", "attempt", "stored"],
    );
    assert.equal(story.lines.at(-1)?.sha256, Buffer.from(behind.sha256).toString("hex"));
    assert.equal((await lbCli("trace", String(before.requestNumber))).lines[0]?.kind, "received");

    const text = await readFile(file, "utf8");
    await writeFile(file, text.replace('"name":"behind.json"', '"name":"behing.json"'));
    assert.equal((await lbCli("audit", "verify")).code, 1);
  });
});
