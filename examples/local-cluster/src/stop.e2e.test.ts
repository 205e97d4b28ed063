import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { symlink } from "node:fs/promises";
import path from "node:path";
import { Kind } from "@bilancia/proto/gen/storage";
import { cannotTest } from "@bilancia/proto/testing/cannot-test";
import { balancerStatus } from "./admin.js";
import { balancerScript } from "./cluster.js";
import { storedFiles } from "./folder-listing.js";
import { eventually } from "./test-support/eventually.js";
import { runScript } from "./test-support/run-script.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, textDocument, UploadSession, uploadHeader } from "./test-support/upload-session.js";

/** What the balancer is given for files under way. The unfinished upload never ends by itself, so all of it is used. */
const graceMs = 4_000;
const marginMs = 2_000;

describe("SIGTERM with uploads in flight", function () {
  this.timeout(60_000);
  let test: TestCluster;

  before(async () => {
    // A document of 1,000 characters takes a server 1 s.
    const serverArgs = ["--simulate-work-ms-per-char", "1"];
    test = await TestCluster.start({ weights: [1, 1], serverArgs, balancerArgs: ["--grace-ms", String(graceMs)] });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("lets the balancer finish what is with the servers, and exit with 0", async () => {
    const session = new UploadSession(test.cluster.balancer.address);
    try {
      const names = Array.from({ length: 5 }, (_, index) => `in-flight-${index}.json`);
      const outcomes = names.map((name) =>
        session.upload(uploadHeader({ name, kind: Kind.KIND_TEXT_DOCUMENT }), textDocument(1_000)),
      );
      const unfinished = uploadHeader({ name: "unfinished.bin" });
      session.send({ header: unfinished, offset: 0, data: Buffer.from("the rest will never come") });
      await eventually(async () => {
        const status = await balancerStatus(test.cluster.balancer.adminAddress);
        assert.ok(status.dispatchingFiles >= 5n && status.receivingFiles + status.dispatchingFiles === 6n);
      });

      const startMs = performance.now();
      const exit = await test.cluster.killBalancer("SIGTERM");
      const elapsedMs = performance.now() - startMs;
      assert.deepEqual(exit, { code: 0, signal: null });
      assert.ok(elapsedMs < graceMs + marginMs, `it took ${elapsedMs} ms, with ${graceMs} ms of grace`);
      for (const outcome of outcomes) receiptOf(await outcome);
      const stored = await Promise.all(test.cluster.servers.map(({ dir }) => storedFiles(dir)));
      assert.deepEqual(
        stored
          .flat()
          .map((file) => file.name)
          .sort(),
        names,
      );
    } finally {
      session.close();
    }
  });

  it("lets a storage server exit with 0", async () => {
    assert.deepEqual(await test.cluster.killServer("storage-1", "SIGTERM"), { code: 0, signal: null });
  });
});

describe("SIGTERM with an upload whose client has left", function () {
  this.timeout(60_000);
  let test: TestCluster;

  before(async () => {
    test = await TestCluster.start({ weights: [1], balancerArgs: ["--grace-ms", "12000"] });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("ends the balancer at once", async () => {
    const { cluster } = test;
    const header = uploadHeader({ name: "unfinished.bin" });
    const leaving = new UploadSession(cluster.balancer.address);
    leaving.send({ header, offset: 0, data: Buffer.alloc(200_000, 1) });
    const seen = async () => {
      const { receivingFiles, queuedBytes, uploadStreams } = await balancerStatus(cluster.balancer.adminAddress);
      return { receivingFiles, queuedBytes, uploadStreams };
    };
    await eventually(async () => assert.equal((await seen()).queuedBytes, 200_000n));
    leaving.close();
    await eventually(async () =>
      assert.deepEqual(await seen(), { receivingFiles: 1n, queuedBytes: 200_000n, uploadStreams: 0 }),
    );
    const startMs = performance.now();
    assert.deepEqual(await cluster.killBalancer("SIGTERM"), { code: 0, signal: null });
    const elapsedMs = performance.now() - startMs;
    assert.ok(elapsedMs < 6_000, `it took ${elapsedMs} ms`);
  });
});

describe("a state folder whose disk is full", function () {
  this.timeout(60_000);
  // Whatever is written there finds no room.
  if (!existsSync("/dev/full")) {
    it("is not tested", () => cannotTest("a full disk: there is no /dev/full"));
    return;
  }
  let test: TestCluster;

  before(async () => {
    test = await TestCluster.start({ weights: [1] });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("lets the balancer stop with code 0 and a warning", async () => {
    await symlink("/dev/full", path.join(test.folder, "balancer", "numbering.json.new"));
    assert.deepEqual(await test.cluster.killBalancer("SIGTERM"), { code: 0, signal: null });
    assert.match(test.cluster.logOf("balancer"), /"level":40,.*disk full: the numbers reserved are not given back/);
  });

  it("is named at the start, with what is wrong with it", async () => {
    const stateDir = path.join(test.folder, "balancer");
    const args = ["--state-dir", stateDir, "--log-file", path.join(test.folder, "second.log")];
    const server = ["--server", "name=storage-1,address=127.0.0.1:1"];
    assert.deepEqual(await runScript(balancerScript, [...args, ...server], { timeoutMs: 10_000 }), {
      ...{ code: 1, stdout: "" },
      stderr: `bilancia-balancer: cannot use the state folder ${stateDir}: the disk is full\n`,
    });
  });
});
