import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { lbCliEnvironment, lbCliScript } from "./lb-cli.js";
import { eventually } from "./test-support/eventually.js";
import { queryUpload } from "./test-support/query-upload.js";
import { lbCliOutput } from "./test-support/run-script.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, UploadSession, uploadHeader } from "./test-support/upload-session.js";

describe("a place in line", function () {
  this.timeout(60_000);
  let test: TestCluster;
  let session: UploadSession;
  before(async () => {
    test = await TestCluster.start({ weights: [1] });
    session = new UploadSession(test.cluster.balancer.address);
  });
  after(async function () {
    session?.close();
    await test?.finish(allPassed(this.test?.parent));
  });

  const lbCli = (...args: string[]) => lbCliOutput(test.cluster.balancer, args);
  const placeOf = async (uploadId: string) => (await queryUpload(test.cluster.balancer.address, uploadId)).place;

  it("is shown while a file waits, moves on, and is gone when its turn has come", async () => {
    await lbCli("servers", "drain", "storage-1");
    const headers = Array.from({ length: 100 }, (_, index) => uploadHeader({ name: `${index}.bin` }));
    const outcomes = headers.map((header) => session.upload(header, Buffer.from(header.name)));
    const last = headers.at(-1)?.uploadId ?? "";
    await eventually(async () => assert.equal((await placeOf(last))?.position, 100n));
    assert.equal((await placeOf(headers[0]?.uploadId ?? ""))?.position, 1n);
    assert.equal((await placeOf(last))?.bytesAhead, BigInt(99 * 16 * 1024));
    assert.match(await lbCli("status", last), /\nplace +number 100 in line, 1\.5 MiB ahead, nothing moves\n/);

    // A client of its own passes most of them by, and sees where it stands while it waits.
    const file = path.join(test.folder, "single.bin");
    await writeFile(file, "a single file");
    const env = lbCliEnvironment(test.cluster.balancer);
    const single = spawn(process.execPath, [lbCliScript, "upload", file], { env });
    let told = "";
    single.stderr.setEncoding("utf8").on("data", (text: string) => {
      told += text;
    });
    const ended = new Promise<number | null>((resolve) => single.once("close", resolve));
    await eventually(async () => assert.match(told, /single\.bin waits: number 65 in line, 1\.0 MiB ahead/), 20_000);

    await lbCli("servers", "enable", "storage-1");
    for (const outcome of await Promise.all(outcomes)) receiptOf(outcome);
    assert.equal(await ended, 0);
    assert.equal(await placeOf(last), undefined);
  });
});
