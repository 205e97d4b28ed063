import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { RejectReason, type UploadEvent } from "@bilancia/proto/gen/balancer";
import { status } from "@grpc/grpc-js";
import { closedAddress } from "../testing/closed-address.js";
import { FakeBalancer, type FakeBehaviour } from "../testing/fake-balancer.js";
import { BilanciaClient, type BilanciaClientOptions } from "./bilancia-client.js";
import { BalancerError, UnreachableError, UploadAbortedError } from "./errors.js";
import { bytesSource, type UploadSource } from "./upload-source.js";
import type { UploadOptions, UploadResult } from "./upload-types.js";

function rejection(reason: RejectReason, retryable: boolean): UploadEvent["event"] {
  const value = { reason, message: "no", retryable, retryAfter: { seconds: 0n, nanos: 1_000_000 } };
  return { $case: "rejected", value };
}

describe("BilanciaClient", () => {
  const closers: (() => void)[] = [];
  afterEach(() => {
    for (const close of closers.splice(0)) close();
  });

  async function setUp(behaviour: FakeBehaviour = {}, options: Partial<BilanciaClientOptions> = {}) {
    const balancer = await new FakeBalancer(behaviour).start();
    const client = new BilanciaClient({ address: balancer.address, retryForMs: 10_000, ...options });
    closers.push(
      () => client.close(),
      () => balancer.stop(),
    );
    return { balancer, client };
  }

  async function collect(
    client: BilanciaClient,
    sources: AsyncIterable<UploadSource> | Iterable<UploadSource>,
    options?: UploadOptions,
  ): Promise<UploadResult[]> {
    const results: UploadResult[] = [];
    for await (const result of client.upload(sources, options)) results.push(result);
    return results;
  }

  it("sends many small files over one stream, several to a message", async () => {
    const { balancer, client } = await setUp();
    const contents = Array.from({ length: 300 }, (_, index) => Buffer.from(`file ${index}`));
    const results = await collect(
      client,
      contents.map((bytes, index) => bytesSource(`f${index}.txt`, bytes)),
    );
    assert.equal(results.length, 300);
    assert.ok(results.every(({ state }) => state === "stored"));
    assert.equal(balancer.streamCount, 1);
    assert.ok(balancer.partCounts.length < 100, `${balancer.partCounts.length} messages`);
    const byName = new Map([...balancer.uploads.values()].map((held) => [held.header.name, held.bytes.toString()]));
    for (const [index, bytes] of contents.entries()) assert.equal(byName.get(`f${index}.txt`), bytes.toString());
  });

  it("ends at once when there is nothing to send, and takes empty files", async () => {
    const { client } = await setUp();
    assert.deepEqual(await collect(client, []), []);
    const [result] = await collect(client, [bytesSource("empty", new Uint8Array(0))]);
    assert.equal(result?.state, "stored");
    assert.equal(result?.sizeBytes, 0);
  });

  it("sends a large file in messages of one data part, with its digest, and reads no more than the connection takes", async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { balancer, client } = await setUp({ pace: () => gate });
    const pieceCount = 100;
    const piece = randomBytes(256 * 1024);
    let read = 0;
    const source: UploadSource = {
      name: "large.bin",
      sizeBytes: piece.length * pieceCount,
      kind: "binary",
      contentType: "",
      async *open() {
        for (; read < pieceCount; read++) {
          // Lets everything else run, so that only backpressure can hold the reading up.
          await new Promise((resolve) => setImmediate(resolve));
          yield piece;
        }
      },
    };
    const uploading = collect(client, [source]);
    let before = -1;
    let stableRounds = 0;
    const deadline = Date.now() + 5_000;
    while (stableRounds < 20 && Date.now() < deadline) {
      stableRounds = read > 0 && read === before ? stableRounds + 1 : 0;
      before = read;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    // 4 MiB of window, as much in the stream's own buffer, the server's message queue, and one in hand.
    assert.ok(read < 70, `${read} pieces were read while nobody took them`);
    release();
    const [result] = await uploading;
    assert.equal(result?.state, "stored");
    assert.equal(balancer.receivedBytes, piece.length * pieceCount);
    assert.equal(balancer.pureDataMessageCount, pieceCount);
  });

  it("reports a rejected file and goes on with the others", async () => {
    const { client } = await setUp({
      onFinish: ({ header }) =>
        header.name === "bad.json" ? rejection(RejectReason.REJECT_REASON_NOT_A_TEXT_DOCUMENT, false) : undefined,
    });
    const names = ["a.json", "bad.json", "c.json"];
    const results = await collect(
      client,
      names.map((name) => bytesSource(name, Buffer.from("x"), "text")),
    );
    const states = Object.fromEntries(results.map(({ name, state }) => [name, state]));
    assert.deepEqual(states, { "a.json": "stored", "bad.json": "rejected", "c.json": "stored" });
  });

  it("stops sending a large file that was rejected by its header", async () => {
    const { balancer, client } = await setUp({
      onHeader: () => rejection(RejectReason.REJECT_REASON_TOO_LARGE, false),
    });
    const totalBytes = 200 * 1024 * 1024;
    const source: UploadSource = {
      name: "huge.bin",
      sizeBytes: totalBytes,
      kind: "binary",
      contentType: "",
      async *open() {
        const piece = Buffer.alloc(256 * 1024);
        for (let sent = 0; sent < totalBytes; sent += piece.length) yield piece;
      },
    };
    const [result] = await collect(client, [source]);
    assert.equal(result?.state, "rejected");
    assert.ok(balancer.receivedBytes < totalBytes / 2, `${balancer.receivedBytes} bytes were sent all the same`);
  });

  it("tries again what was rejected for now, under the same id, and gives up after the allowed tries", async () => {
    const { balancer, client } = await setUp(
      {
        onFinish: (held) =>
          held.header.name === "hopeless" || held.headerCount < 3
            ? rejection(RejectReason.REJECT_REASON_QUEUE_FULL, true)
            : undefined,
      },
      { rejectionRetryCount: 4 },
    );
    const results = await collect(client, [
      bytesSource("patient", Buffer.from("1")),
      bytesSource("hopeless", Buffer.from("2")),
    ]);
    const states = Object.fromEntries(results.map(({ name, state }) => [name, state]));
    assert.deepEqual(states, { patient: "stored", hopeless: "rejected" });
    const counts = Object.fromEntries(
      [...balancer.uploads.values()].map((held) => [held.header.name, held.headerCount]),
    );
    assert.deepEqual(counts, { patient: 3, hopeless: 5 });
  });

  it("goes on with a large file where it was cut, under the same id", async () => {
    let cuts = 0;
    const { balancer, client } = await setUp({
      cut: (held) => held.bytes.length > (cuts + 1) * 1024 * 1024 && cuts < 2 && ++cuts > 0,
    });
    const bytes = randomBytes(4 * 1024 * 1024 + 17);
    const notices: string[] = [];
    const results = await collect(client, [bytesSource("cut.bin", bytes), bytesSource("small", Buffer.from("s"))], {
      onNotice: ({ type }) => notices.push(type),
    });
    assert.deepEqual(
      results.map(({ state }) => state),
      ["stored", "stored"],
    );
    assert.equal(cuts, 2);
    const held = [...balancer.uploads.values()].find(({ header }) => header.name === "cut.bin");
    assert.equal(held?.headerCount, 3);
    assert.ok(held?.bytes.equals(bytes));
    assert.deepEqual(notices, ["connected", "connection-lost", "connected", "connection-lost", "connected"]);
  });

  it("takes 'stored' for an answer when it asks where to go on", async () => {
    let cut = false;
    const { balancer, client } = await setUp();
    // The balancer has the whole file when the connection breaks before the answer.
    balancer.behaviour.mute = true;
    balancer.behaviour.onFinish = (held) => {
      held.finished = true;
      return undefined;
    };
    balancer.behaviour.cut = (held) => {
      if (held.bytes.length < 300_000 || cut) return false;
      cut = true;
      held.finished = true;
      balancer.behaviour.mute = false;
      return true;
    };
    const [result] = await collect(client, [bytesSource("once.bin", randomBytes(300_000))]);
    assert.equal(result?.state, "stored");
    assert.equal(balancer.uploads.size, 1);
    assert.equal(balancer.receivedBytes, 300_000);
  });

  it("comes back to a balancer that was restarted", async () => {
    const { balancer, client } = await setUp({ mute: true });
    const sources = Array.from({ length: 20 }, (_, index) => bytesSource(`r${index}`, Buffer.from(`${index}`)));
    const uploading = collect(client, sources);
    const deadline = Date.now() + 5_000;
    while (balancer.uploads.size < 20) {
      assert.ok(Date.now() < deadline, "the files never came");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const { address } = balancer;
    balancer.stop();
    balancer.behaviour.mute = false;
    await balancer.start(address);
    const results = await uploading;
    assert.ok(results.every(({ state }) => state === "stored"));
    assert.equal(balancer.uploads.size, 20);
  });

  it("fails every file, also those not read yet, when the balancer does not come back", async () => {
    const { balancer, client } = await setUp({ mute: true }, { retryForMs: 300, unansweredLimitCount: 4 });
    const sources = Array.from({ length: 10 }, (_, index) => bytesSource(`g${index}`, Buffer.from(`${index}`)));
    const results = await collect(client, sources, {
      onProgress: ({ sentBytes }) => {
        if (sentBytes > 0) balancer.stop();
      },
    });
    assert.equal(results.length, 10);
    for (const result of results) {
      assert.equal(result.state, "failed");
      assert.match(result.state === "failed" ? result.message : "", /given up after 0\.3 s .*127\.0\.0\.1:\d+/);
    }
  });

  it("names the address of a balancer that cannot be reached", async () => {
    const address = await closedAddress();
    const client = new BilanciaClient({ address, connectTimeoutMs: 200 });
    closers.push(() => client.close());
    await assert.rejects(collect(client, [bytesSource("a", Buffer.from("a"))]), (error) => {
      assert.ok(error instanceof UnreachableError);
      const why = "no connection within 0.2 s: connection refused; is it running there?";
      assert.equal(error.message, `cannot reach the balancer at ${address}: ${why}`);
      return true;
    });
  });

  it("says of a web server in the balancer's place that it does not speak gRPC", async () => {
    const web = createServer((_request, response) => response.end());
    await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
    const address = `127.0.0.1:${(web.address() as AddressInfo).port}`;
    const client = new BilanciaClient({ address, connectTimeoutMs: 200 });
    closers.push(
      () => client.close(),
      () => web.close(),
    );
    await assert.rejects(
      collect(client, [bytesSource("a", Buffer.from("a"))]),
      /no connection within 0\.2 s: what listens there does not speak gRPC$/,
    );
  });

  it("hands on what the balancer says when it ends the stream for good", async () => {
    const { client } = await setUp({ endWith: { code: status.INVALID_ARGUMENT, details: "data before a header" } });
    await assert.rejects(collect(client, [bytesSource("a", Buffer.from("a"))]), (error) => {
      assert.ok(error instanceof BalancerError);
      assert.equal(error.code, "INVALID_ARGUMENT");
      assert.match(error.message, /data before a header/);
      return true;
    });
  });

  it("fails a file that is not as long as it should be, tells the balancer, and goes on", async () => {
    const { balancer, client } = await setUp();
    const changed: UploadSource = { ...bytesSource("changed", randomBytes(200_000)), sizeBytes: 200_001 };
    const results = await collect(client, [changed, bytesSource("good", Buffer.from("good"))]);
    const failed = results.find(({ name }) => name === "changed");
    assert.equal(failed?.state, "failed");
    assert.match(failed?.state === "failed" ? failed.message : "", /expected 200001 bytes, found 200000/);
    assert.equal(results.find(({ name }) => name === "good")?.state, "stored");
    assert.deepEqual(balancer.cancelledIds, [failed?.uploadId]);
  });

  it("counts a file as done when it is queued, if that is asked for", async () => {
    const { client } = await setUp({ onFinish: () => ({ $case: "queued", value: {} }) });
    const results = await collect(client, [bytesSource("q", Buffer.from("q"))], { ack: "queued" });
    assert.deepEqual(
      results.map(({ state, requestNumber }) => [state, requestNumber]),
      [["queued", 1n]],
    );
  });

  it("stops when its signal fires", async () => {
    const { client } = await setUp({ mute: true });
    const controller = new AbortController();
    const uploading = collect(client, [bytesSource("a", Buffer.from("a"))], {
      signal: controller.signal,
      onProgress: ({ sentBytes }) => {
        if (sentBytes > 0) controller.abort();
      },
    });
    await assert.rejects(uploading, (error) => {
      assert.ok(error instanceof UploadAbortedError);
      const [file] = error.unanswered;
      assert.deepEqual([error.unanswered.length, file?.name, file?.allSent], [1, "a", true]);
      return true;
    });
  });

  it("never holds more files than the limit, however many there are", async () => {
    const { client } = await setUp({}, { unansweredLimitCount: 50 });
    let made = 0;
    let ended = 0;
    let most = 0;
    function* endless() {
      for (; made < 1_000; made++) {
        most = Math.max(most, made - ended);
        yield bytesSource(`n${made}`, Buffer.from("n"));
      }
    }
    for await (const _result of client.upload(endless())) ended++;
    assert.equal(ended, 1_000);
    // One source waits for its place, and a handful of results are between the two counts.
    assert.ok(most <= 110, `${most} files were held`);
  });

  it("reports progress that ends with everything done", async () => {
    const { client } = await setUp();
    let last = { foundFiles: 0, foundBytes: 0, sentBytes: 0, endedFiles: 0 };
    await collect(client, [bytesSource("a", Buffer.alloc(10)), bytesSource("b", Buffer.alloc(100_000))], {
      onProgress: (progress) => {
        assert.ok(progress.sentBytes >= last.sentBytes);
        last = progress;
      },
    });
    assert.deepEqual(last, { foundFiles: 2, foundBytes: 100_010, sentBytes: 100_010, endedFiles: 2 });
  });

  it("asks for uploads by both names", async () => {
    const { client } = await setUp();
    const [result] = await collect(client, [bytesSource("a", Buffer.from("a"))]);
    assert.ok(result);
    assert.equal((await client.query({ uploadId: result.uploadId }))?.name, "a");
    assert.equal((await client.query({ requestNumber: 1n }))?.uploadId, result.uploadId);
    assert.equal(await client.query({ requestNumber: 99n }), undefined);
  });
});
