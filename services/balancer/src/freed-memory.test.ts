import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { giveBackFreedBuffers } from "./freed-memory.js";

/** Makes 96 MiB of buffers of the size of a message, with small ones that stay between them, frees these, and prints how many MiB remain resident on top of what was before. */
const program = `
  const { giveBackFreedBuffers } = await import(${JSON.stringify(import.meta.resolve("./freed-memory.js"))});
  if (process.argv[1] === "give-back") await giveBackFreedBuffers();
  const collect = async () => { for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 20)); } };
  const message = () => Buffer.allocUnsafeSlow(256 * 1024).fill(1);
  // The first that are freed decide where glibc puts the next ones.
  for (let i = 0; i < 20; i++) message();
  await collect();
  const before = process.memoryUsage.rss();
  const kept = [];
  let messages = [];
  for (let i = 0; i < 384; i++) { messages.push(message()); kept.push(Buffer.allocUnsafeSlow(16 * 1024).fill(1)); }
  messages = [];
  await collect();
  console.log(Math.round((process.memoryUsage.rss() - before) / 2 ** 20), kept.length);
`;

function remainingMiB(how: string): number {
  const args = ["--expose-gc", "--input-type=module", "--eval", program, how];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return Number.parseInt(stdout, 10);
}

describe("giveBackFreedBuffers", function () {
  this.timeout(20_000);

  it("is of use with glibc, and says where that is not there", async () => {
    const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
    assert.equal(await giveBackFreedBuffers(), header.glibcVersionRuntime !== undefined);
  });

  it("gives the memory of messages back to the system although small things lie between them", async () => {
    const [givenBack, asItIs] = [remainingMiB("give-back"), remainingMiB("as it is")];
    // Another C library has ways of its own.
    const isOfUse = await giveBackFreedBuffers();
    assert.ok(isOfUse ? givenBack < asItIs / 2 : Math.abs(givenBack - asItIs) < 20, `${givenBack}, ${asItIs} MiB`);
  });
});
