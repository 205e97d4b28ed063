import assert from "node:assert/strict";
import { open, rm } from "node:fs/promises";
import path from "node:path";
import { maxPartDataBytes } from "@bilancia/proto/limits";
import { storedFiles } from "./folder-listing.js";
import { eventually } from "./test-support/eventually.js";
import { writeLargeFile } from "./test-support/large-file.js";
import { sha256OfFile } from "./test-support/sha256.js";
import { allPassed, TestCluster } from "./test-support/test-cluster.js";
import { receiptOf, UploadSession, uploadHeader } from "./test-support/upload-session.js";

const mib = 1024 * 1024;
const sizeBytes = 512 * mib;

/** What happens, and after how many bytes of the file. */
const interruptions = [
  { what: "client", atBytes: 75 * mib },
  { what: "server", atBytes: 150 * mib },
  { what: "client", atBytes: 225 * mib },
  { what: "balancer", atBytes: 300 * mib },
  { what: "client", atBytes: 450 * mib },
] as const;

describe("a file of 512 MiB that is interrupted five times", function () {
  this.timeout(180_000);
  let test: TestCluster;

  before(async () => {
    test = await TestCluster.start({ weights: [1, 1] });
  });
  after(async function () {
    await test?.finish(allPassed(this.test?.parent));
  });

  it("arrives whole, and hardly anything is sent twice", async () => {
    const source = path.join(test.folder, "large.bin");
    await writeLargeFile(source, sizeBytes);
    const digest = await sha256OfFile(source);
    const file = await open(source, "r");
    const header = uploadHeader({ name: "large.bin", sizeBytes: BigInt(sizeBytes) });
    let position = 0;
    let againAfterClientBytes = 0;
    let session = new UploadSession(test.cluster.balancer.address);

    /** Begins or goes on with the upload; returns how many bytes have to be sent again. */
    const begin = async (): Promise<number> => {
      const before = session.events.length;
      session.send({ header, offset: 0, data: new Uint8Array(0) });
      const accepted = await eventually(() => {
        const event = session.events.slice(before).find((each) => each.event?.$case === "accepted")?.event;
        assert.ok(event?.$case === "accepted");
        return event.value;
      });
      const againBytes = position - Number(accepted.resumeOffset);
      assert.ok(againBytes >= 0, "the balancer claims bytes that were never sent");
      position = Number(accepted.resumeOffset);
      return againBytes;
    };

    const sendUntil = async (endBytes: number): Promise<void> => {
      while (position < endBytes) {
        const length = Math.min(maxPartDataBytes, endBytes - position);
        const { buffer: data } = await file.read(Buffer.allocUnsafe(length), 0, length, position);
        if (!(await session.sendSlowly({ offset: position, data }))) assert.fail("the stream ended");
        position += length;
      }
    };

    const reconnect = async (): Promise<number> => {
      session.close();
      session = new UploadSession(test.cluster.balancer.address);
      return begin();
    };

    try {
      await begin();
      for (const { what, atBytes } of interruptions) {
        await sendUntil(atBytes);
        if (what === "server") {
          await test.cluster.killServer("storage-1", "SIGKILL");
          await test.cluster.startServer("storage-1");
        } else if (what === "balancer") {
          await test.cluster.killBalancer("SIGKILL");
          await test.cluster.startBalancer();
          await reconnect();
        } else {
          againAfterClientBytes += await reconnect();
        }
      }
      await sendUntil(sizeBytes);
      const outcome = session.outcome(header.uploadId);
      session.send({ offset: sizeBytes, data: new Uint8Array(0), finish: {} });
      const receipt = receiptOf(await outcome);
      assert.equal(Buffer.from(receipt.sha256).toString("hex"), digest);
    } finally {
      session.close();
      await file.close();
    }
    await rm(source);
    const stored = (await Promise.all(test.cluster.servers.map(({ dir }) => storedFiles(dir)))).flat();
    assert.equal(stored.length, 1);
    assert.equal(await sha256OfFile(stored[0]?.path ?? ""), digest);
    assert.ok(
      againAfterClientBytes < 0.1 * sizeBytes,
      `${againAfterClientBytes} bytes were sent again after the client was interrupted`,
    );
  });
});
