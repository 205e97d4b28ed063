import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { BilanciaClient } from "@bilancia/cli/client";
import { bytesSource } from "@bilancia/cli/client/upload-source";
import type { Capability } from "@bilancia/proto/gen/storage";
import { serversByName } from "./admin.js";
import { storedFiles } from "./folder-listing.js";
import { eventually } from "./test-support/eventually.js";
import { RequiredOnlyStorage } from "./test-support/required-only-storage.js";
import { allPassed, neverOverloaded, TestCluster } from "./test-support/test-cluster.js";

const warnLevel = 40;
/** Of a version of the contract that is not written yet. */
const unknownCapability = 99 as Capability;

describe("servers of other versions of the contract, in one pool with ours", function () {
  this.timeout(60_000);
  const old = new RequiredOnlyStorage();
  const newer = new RequiredOnlyStorage([unknownCapability]);
  let test: TestCluster;

  before(async () => {
    await Promise.all([old.start(), newer.start()]);
    const servers = Object.entries({ old, newer }).flatMap(([name, { address }]) => [
      ...["--server", `name=${name},address=${address},weight=1`],
    ]);
    test = await TestCluster.start({
      weights: [1],
      serverArgs: neverOverloaded,
      balancerArgs: servers,
      balancerConfig: "probe: { intervalMs: 50, timeoutMs: 20000 }\nbalancing: { slowStartMs: 0 }\n",
    });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
    old.stop();
    newer.stop();
  });

  /** Sends files of some bytes each, and returns how many each server got. */
  async function send(prefix: string, sizes: readonly number[]): Promise<Record<string, number>> {
    const client = new BilanciaClient({ address: test.cluster.balancer.address });
    const counts: Record<string, number> = {};
    try {
      const sources = sizes.map((size, index) => bytesSource(`${prefix}-${index}.bin`, Buffer.alloc(size, index + 1)));
      for await (const result of client.upload(sources)) {
        if (result.state !== "stored") assert.fail(JSON.stringify(result));
        counts[result.receipt.server] = (counts[result.receipt.server] ?? 0) + 1;
      }
    } finally {
      client.close();
    }
    return counts;
  }

  async function logLines(): Promise<{ level: number; msg: string; server?: string; result?: string }[]> {
    const log = await readFile(path.join(test.folder, "loadbalancer.log"), "utf8");
    return log
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  }

  it("take their share of small and large files", async () => {
    const sizes = Array.from({ length: 90 }, (_, index) => (index % 9 === 0 ? 600_000 : index));
    assert.deepEqual(await send("file", sizes), { "storage-1": 30, old: 30, newer: 30 });
    for (const { held } of [old, newer]) {
      for (const { name, bytes } of held.values()) {
        const index = Number(/\d+/.exec(name)?.[0]);
        assert.ok(bytes.equals(Buffer.alloc(sizes[index] ?? -1, index + 1)), name);
      }
      assert.equal(held.size, 30);
    }
  });

  it("are shown with what they have announced", async () => {
    const servers = await serversByName(test.cluster.balancer.adminAddress);
    assert.deepEqual(servers.get("old")?.load?.capabilities, []);
    assert.deepEqual(servers.get("newer")?.load?.capabilities, [unknownCapability]);
    assert.equal(servers.get("old")?.available, true);
  });

  it("are not asked for what they have not announced, and nobody complains", async () => {
    for (const storage of [old, newer]) {
      const asked = storage.loadsAsked;
      await eventually(() => assert.ok(storage.loadsAsked >= asked + 5));
      // Health/Watch cannot be announced: it is tried, once.
      assert.deepEqual([...storage.calledInVain], [["/grpc.health.v1.Health/Watch", 1]]);
    }
    assert.deepEqual(
      (await logLines()).filter(({ level }) => level >= warnLevel),
      [],
    );
  });

  it("are not asked for extra copies either; one line says that there may be one", async () => {
    old.onNextWhole = () => old.stop();
    await send("lost", [10, 10, 10]);
    assert.equal(old.onNextWhole, undefined, "no file came to it");
    await eventually(async () => {
      const { dir } = test.cluster.server("storage-1");
      const elsewhere = [...(await storedFiles(dir)), ...newer.held.values()];
      assert.equal(elsewhere.filter(({ name }) => name.startsWith("lost-")).length, 3);
    });
    await old.start();
    await eventually(async () => {
      const settled = (await logLines()).filter(({ msg }) => msg === "extra copy settled");
      assert.deepEqual(
        settled.map(({ server, result }) => [server, result]),
        [["old", "the server has no Discard; a copy may remain"]],
      );
    });
    assert.deepEqual([...old.calledInVain.keys()], ["/grpc.health.v1.Health/Watch"]);
  });
});
