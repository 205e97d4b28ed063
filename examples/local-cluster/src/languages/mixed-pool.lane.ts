import assert from "node:assert/strict";
import { BilanciaClient } from "@bilancia/cli/client";
import { bytesSource } from "@bilancia/cli/client/upload-source";
import { ServerState } from "@bilancia/proto/gen/admin";
import type { Receipt } from "@bilancia/proto/gen/balancer";
import { serversByName } from "../admin.js";
import { storedFiles } from "../folder-listing.js";
import { eventually } from "../test-support/eventually.js";
import { sha256OfBytes, sha256OfFile } from "../test-support/sha256.js";
import { allPassed, neverOverloaded, TestCluster } from "../test-support/test-cluster.js";
import { wordsOf } from "./words-of.js";

const fileCount = 3_000;
/** Files that are sent while every server is up, before anything is killed. */
const undisturbedCount = 1_200;
/** Files during which one server is killed and comes back. */
const turnCount = 400;
const killAfterCount = 100;
const restartAfterCount = 250;
const kib = 1024;

const foreign = [
  { language: "Python", weight: 2, command: wordsOf("STORAGE_PYTHON") },
  { language: "Go", weight: 1, command: wordsOf("STORAGE_GO") },
].filter(({ command }) => command !== undefined);
if (foreign.length === 0)
  throw new Error("expected STORAGE_PYTHON, STORAGE_GO or both; see examples/check-languages.sh");
const languages = ["TypeScript", ...foreign.map(({ language }) => language)];
const weights = [3, ...foreign.map(({ weight }) => weight)];
const totalWeight = weights.reduce((sum, weight) => sum + weight);

/** From nothing to four MiB: most are small, one in ten takes several messages. */
function contentOf(index: number): Buffer {
  const bytes = index % 100 === 7 ? 4 * kib * kib : index % 10 === 3 ? 300 * kib : (index * 37) % (20 * kib);
  return Buffer.alloc(bytes, `${index} `);
}

describe(`a pool of servers in ${languages.join(", ")}`, function () {
  this.timeout(240_000);
  let test: TestCluster;
  let client: BilanciaClient;
  const digests = new Map<string, string>();

  before(async () => {
    const names = foreign.map((_, index) => `storage-${index + 2}`);
    const limits = ["--overload-files", "100000", "--busy-files", "100000"];
    test = await TestCluster.start({
      weights,
      commands: Object.fromEntries(foreign.map(({ command = [] }, index) => [names[index], command])),
      serverArgs: Object.fromEntries([["storage-1", neverOverloaded], ...names.map((name) => [name, limits])]),
      // Whoever is up is available, at its whole weight: exact shares need it.
      balancerConfig: [
        "probe: { timeoutMs: 20000 }",
        "balancing: { slowStartMs: 0 }",
        "ejection: { consecutiveFailures: 0, errorPercent: 0, falls: 0 }",
        "limits: { maxInFlightBytes: 1073741824, inFlight: fixed }",
      ].join("\n"),
    });
    client = new BilanciaClient({ address: test.cluster.balancer.address, unansweredLimitCount: 64 });
  });
  after(async function () {
    client?.close();
    await test?.finish(allPassed(this.test?.parent));
  });

  /** Sends the next files and returns their receipts. */
  async function send(count: number, onStored: (storedCount: number) => void = () => {}): Promise<Receipt[]> {
    const first = digests.size;
    function* sources() {
      for (let index = first; index < first + count; index++) {
        const name = `file-${index}.bin`;
        const bytes = contentOf(index);
        digests.set(name, sha256OfBytes(bytes));
        yield bytesSource(name, bytes);
      }
    }
    const receipts: Receipt[] = [];
    for await (const result of client.upload(sources())) {
      if (result.state !== "stored") assert.fail(`${result.name}: ${JSON.stringify(result)}`);
      assert.equal(Buffer.from(result.receipt.sha256).toString("hex"), digests.get(result.name), result.name);
      onStored(receipts.push(result.receipt));
    }
    assert.equal(receipts.length, count);
    return receipts;
  }

  /** Freezes a server, so that files are surely under way to it when it is killed. */
  async function killWithFiles(name: string): Promise<void> {
    process.kill(test.cluster.server(name).pid, "SIGSTOP");
    await eventually(async () => {
      const server = (await serversByName(test.cluster.balancer.adminAddress)).get(name);
      assert.notEqual(server?.inFlightFiles, 0, "no file is on its way to it");
    });
    await test.cluster.killServer(name, "SIGKILL");
  }

  function assertShares(receipts: readonly Receipt[], toleranceCount: number): void {
    for (const { name, weight } of test.cluster.servers) {
      const count = receipts.filter(({ server }) => server === name).length;
      const share = (receipts.length * weight) / totalWeight;
      assert.ok(Math.abs(count - share) <= toleranceCount, `${name} got ${count} files; its share is ${share}`);
    }
  }

  it("shares files by weight", async () => {
    assertShares(await send(undisturbedCount), 0);
  });

  for (const [index, language] of languages.entries()) {
    it(`loses its server in ${language} to kill -9 and gets it back, and the client notices nothing`, async () => {
      const name = `storage-${index + 1}`;
      let killed: Promise<void> | undefined;
      let restarted: Promise<void> | undefined;
      const receipts = await send(turnCount, (storedCount) => {
        if (storedCount === killAfterCount) killed = killWithFiles(name);
        if (storedCount === restartAfterCount) restarted = killed?.then(() => test.cluster.startServer(name));
      });
      await restarted;
      assert.ok(
        receipts.some(({ attempts }) => attempts > 1),
        "no file was under way to it: nothing was tested",
      );
      await eventually(async () => {
        const server = (await serversByName(test.cluster.balancer.adminAddress)).get(name);
        assert.equal(server?.state, ServerState.SERVER_STATE_AVAILABLE, server?.stateReason);
      });
    });
  }

  it("shares files by weight again", async () => {
    // The turns begin anywhere, so a round of them may be cut at both ends.
    assertShares(await send(fileCount - digests.size), totalWeight);
  });

  it("has each of 3,000 files on exactly one disk, with an equal digest", async () => {
    await eventually(async () => {
      const found: string[] = [];
      for (const { dir } of test.cluster.servers) {
        for (const { name, path } of await storedFiles(dir)) {
          found.push(name);
          assert.equal(await sha256OfFile(path), digests.get(name), path);
        }
      }
      assert.equal(digests.size, fileCount);
      assert.deepEqual(found.sort(), [...digests.keys()].sort());
    });
  });
});
