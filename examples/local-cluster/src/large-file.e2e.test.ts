import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import path from "node:path";
import { storedFiles } from "./folder-listing.js";
import { writeLargeFile } from "./test-support/large-file.js";
import { peakMemoryBytes } from "./test-support/process-memory.js";
import { jsonLines, runLbCli } from "./test-support/run-script.js";
import { sha256OfFile } from "./test-support/sha256.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";

const mib = 1024 * 1024;
const sizeBytes = 512 * mib;
const memoryLimitBytes = 250 * mib;

describe("a file of 512 MiB", function () {
  this.timeout(120_000);
  let test: TestCluster;

  before(async () => {
    // Whoever measures coverage pays for it in memory; users do not.
    const { NODE_V8_COVERAGE: coverage, ...uncovered } = process.env;
    process.env = uncovered;
    try {
      test = await TestCluster.start({ weights: [1] });
    } finally {
      if (coverage !== undefined) process.env.NODE_V8_COVERAGE = coverage;
    }
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("arrives whole, while balancer and server stay under 250 MiB", async () => {
    const source = path.join(test.folder, "large.bin");
    await writeLargeFile(source, sizeBytes);
    const digest = await sha256OfFile(source);

    const { code, stdout, stderr } = await runLbCli(test.cluster.balancer, ["upload", source, "--json"], {
      timeoutMs: 110_000,
    });
    assert.equal(code, 0, stderr);
    await rm(source);
    const [line] = jsonLines(stdout);
    assert.equal(line?.sha256, digest);
    assert.equal(line?.sizeBytes, sizeBytes);

    const server = test.cluster.server("storage-1");
    const [stored, ...others] = await storedFiles(server.dir);
    assert.deepEqual(others, []);
    assert.ok(stored);
    assert.equal(await sha256OfFile(stored.path), digest);

    const peaks = {
      balancer: (await peakMemoryBytes(test.cluster.balancer.pid)) / mib,
      server: (await peakMemoryBytes(server.pid)) / mib,
    };
    const shown = `peak of the balancer ${peaks.balancer.toFixed(0)} MiB, of the server ${peaks.server.toFixed(0)} MiB`;
    assert.ok(peaks.balancer * mib < memoryLimitBytes && peaks.server * mib < memoryLimitBytes, shown);
  });
});
