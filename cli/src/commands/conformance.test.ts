import assert from "node:assert/strict";
import type { BalancerFault } from "../testing/balancer-faults.js";
import { closedAddress } from "../testing/closed-address.js";
import { FakeStorage } from "../testing/fake-storage.js";
import { FaultyBalancer } from "../testing/faulty-balancer.js";
import { runCli } from "../testing/run-cli.js";
import type { StorageFault } from "../testing/storage-faults.js";

describe("lb-cli conformance storage", () => {
  async function run(fault: StorageFault | undefined, ...args: string[]) {
    const server = await FakeStorage.start(fault);
    try {
      return await runCli(["conformance", "storage", server.address, ...args]);
    } finally {
      server.stop();
    }
  }

  it("tells what holds, and ends with 0", async () => {
    const { code, stdout, stderr } = await run(undefined, "--only", "identity", "fencing.term");
    assert.equal(code, 0, stderr);
    const lines = stdout.trimEnd().split("\n");
    assert.match(lines[0] ?? "", /^holds +identity\.duplicate +\d/);
    assert.match(lines.at(-1) ?? "", /^6 of 6 checks hold \(seed 1\)$/);
  });

  it("tells what fails and what the contract says, and ends with 1", async () => {
    const { code, stdout } = await run("ignores crc32c", "--only", "integrity.crc32c", "files.empty");
    assert.equal(code, 1);
    assert.match(stdout, /^holds +files\.empty/m);
    assert.match(
      stdout,
      /^fails +integrity\.crc32c +request number 1 was answered with saved, .*expected refused CHECKSUM_MISMATCH\n +The contract: /m,
    );
    assert.match(stdout, /1 of 2 checks hold; 1 failed/);
  });

  it("says what it could not test, and fails nobody for it", async () => {
    const { code, stdout } = await run(undefined, "--only", "restart.fence", "load.limit", "files.empty");
    assert.equal(code, 0);
    assert.match(stdout, /^not tested +restart\.fence +give --restart-cmd$/m);
    assert.match(stdout, /2 not tested; required ones were left out: give --overload-files, --restart-cmd/);
  });

  it("prints JSON for programs", async () => {
    const { code, stdout } = await run("ignores the term", "--only", "fencing", "--json");
    assert.equal(code, 1);
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      lines.map(({ check, level, result }) => [check, level, result]),
      [
        ["fencing.attempt", "required", "holds"],
        ["fencing.term", "required", "fails"],
        ["fencing.seen-not-stored", "required", "fails"],
      ],
    );
    assert.match(String(lines[1]?.rule), /Terms are compared before attempts/);
  });

  it("tells a restart command that fails from a server that does", async () => {
    const { code, stdout } = await run(undefined, "--only", "restart.fence", "--restart-cmd", "exit 7");
    assert.equal(code, 1);
    assert.match(stdout, /the check could not go on: the restart command ended with code 7; expected code 0/);
  });

  it("explains a wrong command, and an address where nothing answers", async () => {
    const unknown = await run(undefined, "--only", "files.huge");
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /there is no check 'files\.huge'; expected one of health\.serving, /);
    const optional = await run(undefined, "--only", "stat", "--level", "required");
    assert.equal(optional.code, 2);
    assert.match(optional.stderr, /none of these checks is required/);
    const address = await closedAddress();
    const nobody = await runCli(["conformance", "storage", address]);
    assert.equal(nobody.code, 3);
    assert.match(nobody.stderr, new RegExp(`cannot reach the storage server at ${address}: connection refused`));
  });
});

describe("lb-cli conformance balancer", () => {
  async function run(fault: BalancerFault | undefined, ...args: string[]) {
    const balancer = await FaultyBalancer.start(fault);
    try {
      return await runCli(["conformance", "balancer", balancer.address, ...args]);
    } finally {
      balancer.stop();
    }
  }

  it("tells what holds and what was not tested, and ends with 0", async () => {
    const { code, stdout, stderr } = await run(undefined, "--only", "query", "limits", "restart.queued");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^holds +query\.unknown +\d/m);
    assert.match(stdout, /^not tested +limits\.queue +give --queue-files$/m);
    assert.match(stdout, /left out: give --max-file-bytes, --queue-files, --restart-cmd \(seed 1\)$/m);
  });

  it("tells what fails and what the contract says, and ends with 1", async () => {
    const { code, stdout } = await run("ignores crc32c", "--only", "integrity.crc32c", "files.empty");
    assert.equal(code, 1);
    assert.match(
      stdout,
      /^fails +integrity\.crc32c +the upload \S+ of "sample\.bin" was answered with stored; expected rejected CHECKSUM_MISMATCH\n +The contract: /m,
    );
    assert.match(stdout, /1 of 2 checks hold; 1 failed/);
  });

  it("takes the limits of the balancer", async () => {
    const { code, stdout } = await run(
      "takes any number of files",
      "--only",
      "limits.queue",
      "--queue-files",
      "400",
      "--json",
    );
    assert.equal(code, 1);
    const { check, result } = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual([check, result], ["limits.queue", "fails"]);
  });

  it("explains a wrong command, and an address where something else answers", async () => {
    const tooLarge = await run(undefined, "--max-file-bytes", "2000000000");
    assert.equal(tooLarge.code, 2);
    assert.match(tooLarge.stderr, /expected a whole number from 67108864 to 1073741824; got '2000000000'/);
    for (const [option, value, least] of [
      ["--max-file-bytes", "67108863", "67108864"],
      ["--queue-files", "399", "400"],
    ] as const) {
      const tooSmall = await run(undefined, option, value);
      assert.equal(tooSmall.code, 2);
      assert.ok(tooSmall.stderr.includes(`expected a whole number from ${least} to`), tooSmall.stderr);
    }
    const storage = await FakeStorage.start();
    const { code, stderr } = await runCli(["conformance", "balancer", storage.address]);
    storage.stop();
    assert.equal(code, 1);
    assert.match(stderr, /is not the balancer/);
  });
});
