import assert from "node:assert/strict";
import { TestAuthority } from "@bilancia/proto/testing/test-certificates";
import { FakeBalancer } from "../testing/fake-balancer.js";
import { runCli } from "../testing/run-cli.js";
import { tempFolder } from "../testing/temp-folder.js";

describe("lb-cli with certificates", () => {
  let folder: Awaited<ReturnType<typeof tempFolder>>;
  before(async () => {
    const authority = new TestAuthority();
    const { cert, key } = authority.issue({ name: "client" });
    const files = { "ca.pem": authority.cert, "client.pem": cert, "client.key": key };
    folder = await tempFolder({ ...files, "other.key": authority.issue({ name: "other" }).key, "a.bin": "a" });
  });
  after(() => folder.remove());

  const cases: readonly [string, string, RegExp][] = [
    ["a file that is missing", "--ca none.pem", /^error: --ca: cannot read none\.pem: no such file or folder$/m],
    ["a certificate without its key", "--cert client.pem", /^error: --key: expected the private key of --cert; came/m],
    [
      "another one's key",
      "--cert client.pem --key other.key",
      /^error: --key: expected .* came another one \(other\.key\)/m,
    ],
    [
      "a key in place of authorities",
      "--ca client.key",
      /^error: --ca: expected certificates in PEM .* client\.key; came/m,
    ],
  ];
  for (const [what, flags, message] of cases)
    it(`says what is wrong with ${what}, whatever is asked`, async () => {
      for (const command of [
        ["upload", "a.bin"],
        ["servers"],
        ["status", "1"],
        ["conformance", "storage", "127.0.0.1:1"],
      ]) {
        const { code, stdout, stderr } = await runCli([...flags.split(" "), ...command], { cwd: folder.path });
        assert.deepEqual([code, stdout], [2, ""], command.join(" "));
        assert.match(stderr, message);
      }
    });

  it("says that a balancer does not speak TLS, also where the environment names the files", async () => {
    const balancer = new FakeBalancer();
    await balancer.start();
    try {
      const env = { BILANCIA_BALANCER: balancer.address, BILANCIA_CA: "ca.pem" };
      const args = ["--connect-timeout", "1", "upload", "a.bin"];
      const { code, stderr } = await runCli(args, { cwd: folder.path, env });
      assert.equal(code, 3);
      assert.match(stderr, /^error: .*what listens there does not speak TLS$/m);
    } finally {
      await balancer.stop();
    }
  });
});
