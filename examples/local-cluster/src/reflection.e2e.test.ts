import assert from "node:assert/strict";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { runProgram } from "./test-support/run-script.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const buf = path.join(root, "node_modules", ".bin", "buf");

/** Calls a server with `buf curl`, which learns everything about it through reflection. */
async function bufCurl(address: string, target: string, ...args: string[]): Promise<string> {
  const flags = ["curl", "--http2-prior-knowledge", "--protocol", "grpc", ...args];
  const { code, stdout, stderr } = await runProgram(buf, [...flags, `http://${address}${target}`], { cwd: root });
  assert.equal(code, 0, stderr);
  return stdout;
}

describe("reflection, through buf curl", function () {
  this.timeout(60_000);
  let test: TestCluster;

  before(async () => {
    test = await TestCluster.start({ weights: [1] });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("lists the services of all three listeners", async () => {
    const { balancer } = test.cluster;
    const services = async (address: string) => (await bufCurl(address, "", "--list-services")).trim().split("\n");
    assert.ok((await services(balancer.address)).includes("bilancia.v1.Balancer"));
    assert.ok((await services(balancer.address)).includes("bilancia.v1.Registry"));
    assert.ok((await services(balancer.adminAddress)).includes("bilancia.v1.Admin"));
    assert.ok((await services(test.cluster.server("storage-1").address)).includes("bilancia.v1.Storage"));
  });

  it("describes a service by listing its methods", async () => {
    const methods = await bufCurl(test.cluster.server("storage-1").address, "", "--list-methods");
    assert.match(methods, /bilancia\.v1\.Storage\/Save/);
    assert.match(methods, /grpc\.health\.v1\.Health\/Check/);
  });

  it("announces a server, lists what waits, and claims", async () => {
    const { address } = test.cluster.balancer;
    const call = async (method: string, message: object) =>
      JSON.parse(
        await bufCurl(
          address,
          `/bilancia.v1.Registry/${method}`,
          "--data",
          JSON.stringify({ server: "storage-1", ...message }),
        ),
      );
    const announced = await call("Announce", {});
    assert.deepEqual([announced.serving, announced.weight], [true, 1]);
    assert.deepEqual(await call("ListPending", { filter: "PENDING_FILTER_FAILED_HERE" }), {});
    const { results, claimDuration } = await call("ClaimPending", { request_numbers: [4711] });
    assert.deepEqual(results, [{ requestNumber: "4711", outcome: "CLAIM_OUTCOME_UNKNOWN" }]);
    assert.equal(claimDuration, "60s");
  });
});
