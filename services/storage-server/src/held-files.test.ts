import assert from "node:assert/strict";
import { mkdir, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import {
  type DiscardRequest,
  type DiscardResponse,
  Holding,
  Kind,
  type StatRequest,
  type StatResponse,
} from "@bilancia/proto/gen/storage";
import type { StorageClient } from "@bilancia/proto/services";
import { eventually } from "@bilancia/proto/testing/eventually";
import { fromTimestamp } from "@bilancia/proto/time";
import { callUnary } from "@bilancia/proto/unary";
import { status } from "@grpc/grpc-js";
import { maxJournalledFileBytes } from "./directory-store.js";
import { type Disk, nodeDisk } from "./disk.js";
import { startTestServer, storedNames, tempNames, withFolder, withServer } from "./testing/test-server.js";
import { header, origin, otherUploadId, part, sha256, TestStream, uploadId, wholeFile } from "./testing/test-stream.js";

function stat(client: StorageClient, fields: Partial<StatRequest> = {}): Promise<StatResponse> {
  return callUnary(client.stat.bind(client), { origin, requestNumber: 1n, ...fields }, 5_000);
}

function discard(client: StorageClient, fields: Partial<DiscardRequest> = {}): Promise<DiscardResponse> {
  const request = { origin, requestNumber: 1n, uploadId, term: 1n, attempt: 1, ...fields };
  return callUnary(client.discard.bind(client), request, 5_000);
}

async function save(client: StorageClient, fields: Parameters<typeof header>[1] = {}): Promise<string> {
  const stream = new TestStream(client);
  await stream.send(wholeFile(header(1, fields), "abc"));
  const outcome = await stream.final(1);
  await stream.close();
  return outcome.$case;
}

describe("Stat", () => {
  it("knows nothing, a file that arrives, and a file that is stored", () =>
    withServer({}, async ({ client }) => {
      assert.deepEqual(await stat(client), { holding: Holding.HOLDING_NONE, file: undefined });
      const stream = new TestStream(client);
      await stream.send({ header: header(1, { attempt: 2 }), offset: 0, data: Buffer.from("ab") });
      await stream.accepted(1);
      assert.equal((await stat(client)).holding, Holding.HOLDING_RECEIVING);
      await stream.send(part(2, "c", true));
      await stream.saved(1);
      const { holding, file } = await stat(client);
      assert.equal(holding, Holding.HOLDING_STORED);
      assert.ok(file?.storedAt);
      assert.ok(Math.abs(fromTimestamp(file.storedAt) - Date.now()) < 60_000);
      assert.deepEqual(
        { ...file, sha256: Buffer.from(file.sha256), storedAt: undefined },
        {
          ...{ uploadId, storedName: "1_a.bin", sizeBytes: 3n, sha256: sha256("abc"), term: 1n, attempt: 2 },
          storedAt: undefined,
          textStats: undefined,
        },
      );
      assert.equal((await stat(client, { requestNumber: 2n })).holding, Holding.HOLDING_NONE);
      await stream.close();
    }));

  it("says what is wrong with a request", () =>
    withServer({}, async ({ client }) => {
      await assert.rejects(stat(client, { origin: "x" }), { code: status.INVALID_ARGUMENT, details: /origin is "x"/ });
      await assert.rejects(stat(client, { requestNumber: 0n }), { code: status.INVALID_ARGUMENT });
    }));
});

describe("Discard", () => {
  it("removes a file, and refuses its attempt from then on, also after a restart", () =>
    withFolder(async (dir) => {
      const first = await startTestServer(dir);
      assert.equal(await save(first.client), "saved");
      assert.deepEqual(await discard(first.client), { discarded: true });
      assert.deepEqual(await discard(first.client), { discarded: false });
      assert.deepEqual(await storedNames(dir), []);
      assert.equal((await stat(first.client)).holding, Holding.HOLDING_NONE);
      await first.stop();
      const second = await startTestServer(dir);
      assert.equal(await save(second.client), "refused");
      assert.equal(await save(second.client, { attempt: 2 }), "saved");
      assert.deepEqual(await storedNames(dir), ["1_a.bin"]);
      await second.stop();
    }));

  it("remembers the attempt also where there is nothing", () =>
    withServer({}, async ({ client }) => {
      assert.deepEqual(await discard(client, { attempt: 3 }), { discarded: false });
      // One for an earlier attempt does not lower the fence.
      assert.deepEqual(await discard(client, { attempt: 3, term: 0n }), { discarded: false });
      assert.equal(await save(client, { attempt: 3 }), "refused");
      assert.equal(await save(client, { attempt: 4 }), "saved");
    }));

  it("is not undone by a later attempt that is refused, also after a restart", () =>
    withFolder(async (dir) => {
      const large = Buffer.alloc(maxJournalledFileBytes + 1);
      const names = ["1_a.bin", `1_a~${origin.slice(0, 8)}.bin`];
      for (const data of [Buffer.from("abc"), large]) {
        const first = await startTestServer(dir);
        await discard(first.client, { attempt: 5 });
        for (const name of names) await mkdir(join(dir, name));
        const stream = new TestStream(first.client);
        await stream.send(wholeFile(header(1, { attempt: 6 }), data));
        assert.match(await stream.refused(1, "REFUSE_REASON_INTERNAL"), /both taken/);
        await stream.close();
        await first.stop();
        for (const name of names) await rmdir(join(dir, name));
        const second = await startTestServer(dir);
        assert.equal(await save(second.client, { attempt: 5 }), "refused");
        await second.stop();
        assert.deepEqual(await storedNames(dir), []);
      }
    }));

  it("fails for another upload, or a later attempt", () =>
    withServer({}, async ({ client }, dir) => {
      await save(client, { attempt: 2 });
      const failed = { code: status.FAILED_PRECONDITION };
      await assert.rejects(discard(client, { uploadId: otherUploadId, attempt: 2 }), failed);
      await assert.rejects(discard(client, { attempt: 1 }), failed);
      await assert.rejects(discard(client, { uploadId: "x" }), { code: status.INVALID_ARGUMENT });
      // A duplicate answered to a later attempt is that attempt's file.
      await save(client, { attempt: 5 });
      await assert.rejects(discard(client, { attempt: 4 }), failed);
      assert.deepEqual(await storedNames(dir), ["1_a.bin"]);
      assert.deepEqual(await discard(client, { attempt: 5 }), { discarded: true });
    }));

  it("stops a file that is still arriving", () =>
    withServer({}, async ({ client }, dir) => {
      const stream = new TestStream(client);
      await stream.send({ header: header(1), offset: 0, data: Buffer.from("ab") });
      await stream.accepted(1);
      assert.deepEqual(await discard(client), { discarded: false });
      await stream.refused(1, "REFUSE_REASON_STALE_ATTEMPT");
      await stream.close();
      assert.deepEqual(await tempNames(dir), []);
    }));

  it("stops a file of which it is still being looked what is known", () =>
    withFolder(async (dir) => {
      let looked: (() => void) | undefined;
      const disk: Disk = {
        ...nodeDisk,
        mark: async (path) => {
          if (!looked)
            await new Promise<void>((resolve) => {
              looked = resolve;
            });
          return nodeDisk.mark(path);
        },
      };
      const server = await startTestServer(dir, {}, disk);
      assert.equal(await save(server.client), "saved");
      await unlink(join(dir, "1_a.bin"));
      const stream = new TestStream(server.client);
      await stream.send({ header: header(1, { attempt: 2 }), offset: 0, data: Buffer.from("ab") });
      await eventually("the look", () => looked !== undefined);
      const discarded = discard(server.client, { attempt: 2 });
      // The call has arrived once a later one is answered.
      await stat(server.client, { requestNumber: 2n });
      looked?.();
      await stream.refused(1, "REFUSE_REASON_STALE_ATTEMPT");
      assert.equal((await discarded).discarded, false);
      await stream.close();
      await server.stop();
    }));

  it("waits for a file that is whole, then removes it", () =>
    withServer({ simulateWorkMsPerChar: "50" }, async ({ client }, dir) => {
      const stream = new TestStream(client);
      const document = '{"title":"","content":"abcd"}';
      await stream.send(wholeFile(header(1, { kind: Kind.KIND_TEXT_DOCUMENT }), document));
      await eventually("the file", async () => (await storedNames(dir)).length === 1);
      assert.deepEqual(await discard(client), { discarded: true });
      await stream.saved(1);
      await stream.close();
      assert.deepEqual(await storedNames(dir), []);
    }));
});
