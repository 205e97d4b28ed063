import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { balancerStatus } from "../admin.js";
import { storedFiles } from "../folder-listing.js";
import { eventually } from "../test-support/eventually.js";
import { writeLargeFile } from "../test-support/large-file.js";
import { runProgram } from "../test-support/run-script.js";
import { sha256OfFile } from "../test-support/sha256.js";
import { allPassed, TestCluster } from "../test-support/test-cluster.js";
import { wordsOf } from "./words-of.js";

/** Large enough to be on its way for a while. */
const largeBytes = 256 * 1024 * 1024;

const clients = ["Python", "Go"].flatMap((language) => {
  const command = wordsOf(`CLIENT_${language.toUpperCase()}`);
  return command ? [{ language, command }] : [];
});
if (clients.length === 0) throw new Error("expected CLIENT_PYTHON, CLIENT_GO or both; see examples/check-languages.sh");

for (const { language, command } of clients) {
  describe(`the client in ${language}`, function () {
    this.timeout(120_000);
    let test: TestCluster;

    before(async () => {
      test = await TestCluster.start({ weights: [1, 1] });
    });
    after(async function () {
      await test?.finish(allPassed(this.test?.parent));
    });

    const send = (...args: string[]) => {
      const [program = "", ...first] = command;
      return runProgram(program, [...first, ...args]);
    };

    it("gets a file through, once, although the balancer is killed and comes back", async () => {
      const { cluster, folder } = test;
      const large = path.join(folder, "large.bin");
      await writeLargeFile(large, largeBytes);
      const sent = send(cluster.balancer.address, large);
      await eventually(async () => {
        const { receivingFiles, dispatchingFiles } = await balancerStatus(cluster.balancer.adminAddress);
        assert.ok(receivingFiles + dispatchingFiles > 0n, "nothing has come yet");
      });
      await cluster.killBalancer("SIGKILL");
      await cluster.startBalancer();
      const { code, stdout, stderr } = await sent;
      assert.equal(code, 0, stderr);
      assert.match(stdout, /large\.bin: stored on storage-[12]\n$/);
      await eventually(async () => {
        const copies = (await Promise.all(cluster.servers.map(({ dir }) => storedFiles(dir)))).flat();
        assert.equal(copies.length, 1);
        assert.equal(await sha256OfFile(copies[0]?.path ?? ""), await sha256OfFile(large));
      });
    });

    it("says what is wrong, and how it is used", async () => {
      const { address } = test.cluster.balancer;
      const bad = path.join(test.folder, ".hidden");
      await writeFile(bad, "x");
      const refused = await send(address, bad);
      assert.match(refused.stderr, /the name ".hidden" begins with a dot/);
      const missing = await send(address, path.join(test.folder, "nowhere"));
      assert.match(missing.stderr, /No such file or directory/i);
      const unused = await send();
      assert.match(unused.stderr, /usage: .*HOST:PORT FILE/);
      for (const { code, stdout } of [refused, missing, unused]) assert.deepEqual([code, stdout], [1, ""]);
    });
  });
}
