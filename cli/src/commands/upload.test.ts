import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FakeBalancer } from "../testing/fake-balancer.js";
import { runCli } from "../testing/run-cli.js";
import { tempFolder } from "../testing/temp-folder.js";

describe("lb-cli upload", () => {
  const balancer = new FakeBalancer();
  let folder: Awaited<ReturnType<typeof tempFolder>>;
  before(() => balancer.start());
  after(() => balancer.stop());
  beforeEach(async () => {
    folder = await tempFolder({ "a.bin": "some bytes" });
  });
  afterEach(() => folder.remove());

  it("exits with 1 where the receipt is not for the file, and begins it anew the next time, not asking for that one again", async () => {
    const args = ["upload", "a.bin", "--state-file", "state.json"];
    const options = { cwd: folder.path, env: { BILANCIA_BALANCER: balancer.address } };
    balancer.behaviour.onFinish = () => ({ $case: "stored", value: { receipt: { ...receipt, sizeBytes: 999n } } });
    const { code, stdout, stderr } = await runCli(args, options);
    assert.equal(code, 1);
    assert.match(stdout, /0 stored, 1 failed/);
    assert.match(
      stderr,
      /^error: a\.bin: failed: .* has 10 bytes with SHA-256 \w{64}, the receipt says 999 bytes with /m,
    );
    assert.deepEqual(JSON.parse(await readFile(join(folder.path, "state.json"), "utf8")).uploads, []);
    balancer.behaviour.onFinish = () => undefined;
    assert.equal((await runCli(args, options)).code, 0);
    assert.equal(balancer.uploads.size, 2);
  });
});

const receipt = {
  requestNumber: 1n,
  uploadId: "",
  name: "a.bin",
  server: "storage-1",
  storedName: "1_a.bin",
  sizeBytes: 10n,
  sha256: Buffer.alloc(32),
  attempts: 1,
  storedAt: undefined,
  textStats: undefined,
};
