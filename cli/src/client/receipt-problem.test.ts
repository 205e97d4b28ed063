import assert from "node:assert/strict";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { Receipt } from "@bilancia/proto/gen/balancer";
import { FakeBalancer, type FakeBehaviour, type HeldUpload, stored } from "../testing/fake-balancer.js";
import { BilanciaClient } from "./bilancia-client.js";
import { bytesSource, type UploadSource } from "./upload-source.js";
import type { UploadOptions, UploadResult } from "./upload-types.js";

const small = randomBytes(1_000);
const large = randomBytes(700_000);
const hexDigest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** The answer of a balancer that is wrong about what it stored. */
function storedAs(held: HeldUpload, wrong: Partial<Receipt>): ReturnType<typeof stored> {
  const right = stored(held);
  if (right?.$case !== "stored" || !right.value.receipt) throw new Error("expected a receipt");
  return { $case: "stored", value: { receipt: { ...right.value.receipt, ...wrong } } };
}

describe("receipts, as the client looks at them", () => {
  const closers: (() => void)[] = [];
  afterEach(() => {
    for (const close of closers.splice(0)) close();
  });

  async function setUp(behaviour: FakeBehaviour = {}) {
    const balancer = await new FakeBalancer(behaviour).start();
    closers.push(() => balancer.stop());
    return balancer;
  }

  async function upload(
    { address }: FakeBalancer,
    sources: UploadSource[],
    options?: UploadOptions,
    retryForMs = 10_000,
  ): Promise<UploadResult[]> {
    const client = new BilanciaClient({ address, retryForMs });
    closers.push(() => client.close());
    const results: UploadResult[] = [];
    for await (const result of client.upload(sources, options)) results.push(result);
    return results;
  }

  function assertDisbelieved(result: UploadResult | undefined, message: string): void {
    assert.equal(result?.state, "failed");
    if (result?.state !== "failed") return;
    assert.equal(result.message, `the balancer says 'stored', but its receipt is not for this file: ${message}`);
    assert.equal(result.answered, true);
  }

  const other = Buffer.alloc(32, 0xab);
  const wrongs: [what: string, bytes: Buffer, wrong: Partial<Receipt>, told: string][] = [
    ["a small file's length", small, { sizeBytes: 999n }, `999 bytes with SHA-256 ${hexDigest(small)}`],
    ["a large file's length", large, { sizeBytes: 999n }, `999 bytes with SHA-256 ${hexDigest(large)}`],
    ["a small file's digest", small, { sha256: other }, `1000 bytes with SHA-256 ${"ab".repeat(32)}`],
    ["a large file's digest", large, { sha256: other }, `700000 bytes with SHA-256 ${"ab".repeat(32)}`],
    [
      "everything",
      large,
      { sizeBytes: 2n ** 63n, sha256: Buffer.alloc(3) },
      "9223372036854775808 bytes with a SHA-256 of 3 bytes in place of 32",
    ],
    [
      "a digest, an empty one,",
      small,
      { sha256: Buffer.alloc(0) },
      "1000 bytes with a SHA-256 of 0 bytes in place of 32",
    ],
  ];
  for (const [what, bytes, wrong, told] of wrongs)
    it(`fails a file where ${what} is wrong, and goes on with the others`, async () => {
      const balancer = await setUp({
        onFinish: (held) => (held.header.name === "wrong" ? storedAs(held, wrong) : undefined),
      });
      const results = await upload(balancer, [bytesSource("wrong", bytes), bytesSource("right", bytes)]);
      assertDisbelieved(
        results.find(({ name }) => name === "wrong"),
        `the file has ${bytes.length} bytes with SHA-256 ${hexDigest(bytes)}, the receipt says ${told}`,
      );
      assert.equal(results.find(({ name }) => name === "right")?.state, "stored");
    });

  it("fails a file for which the balancer has a receipt before its bytes", async () => {
    const balancer = await setUp({ onHeader: (held) => storedAs(held, { sha256: Buffer.alloc(3) }) });
    const [result] = await upload(balancer, [bytesSource("large", large)]);
    // However far the file had been sent by then.
    assert.match(
      result?.state === "failed" ? result.message : "",
      /: the file has 700000 bytes(?: with SHA-256 \w+)?, the receipt says 0 bytes with a SHA-256 of 3 bytes in place of 32$/,
    );
  });

  it("fails a file without a receipt", async () => {
    const balancer = await setUp({ onFinish: () => ({ $case: "stored", value: { receipt: undefined } }) });
    const [result] = await upload(balancer, [bytesSource("small", small)]);
    assert.equal(result?.state === "failed" && result.message, "the balancer says 'stored' but gives no receipt");
    assert.equal(result?.state === "failed" && result.answered, true);
  });

  it("looks at the receipt also where 'queued' would do", async () => {
    const balancer = await setUp({ onFinish: (held) => storedAs(held, { sizeBytes: 1n }) });
    const [result] = await upload(balancer, [bytesSource("small", small)], { ack: "queued" });
    assert.equal(result?.state, "failed");
  });

  it("knows a file's length from what it read, where the source does not tell", async () => {
    const behaviour: FakeBehaviour = {};
    const balancer = await setUp(behaviour);
    const unknown = (name: string) => ({ ...bytesSource(name, large), sizeBytes: undefined });
    assert.equal((await upload(balancer, [unknown("right")]))[0]?.state, "stored");
    behaviour.onFinish = (held) => storedAs(held, { sizeBytes: 699_999n });
    const digest = hexDigest(large);
    assertDisbelieved(
      (await upload(balancer, [unknown("wrong")]))[0],
      `the file has 700000 bytes with SHA-256 ${digest}, the receipt says 699999 bytes with SHA-256 ${digest}`,
    );
  });

  describe("of an upload that an earlier run began", () => {
    const begun = (bytes: Buffer, known: boolean, sizeBytes?: number): UploadSource => ({
      ...bytesSource("begun", bytes),
      sizeBytes,
      identity: { uploadId, known },
    });
    let uploadId: string;
    beforeEach(() => {
      uploadId = randomUUID();
    });

    it("counts the bytes that were sent before", async () => {
      const behaviour: FakeBehaviour = { cut: (held) => held.bytes.length > 300_000 };
      const balancer = await setUp(behaviour);
      const [cut] = await upload(balancer, [begun(large, false, large.length)], {}, 1);
      assert.equal(cut?.state === "failed" && !cut.answered, true);
      const earlierBytes = balancer.receivedBytes;
      assert.ok(earlierBytes > 300_000);
      behaviour.cut = () => false;
      const [result] = await upload(balancer, [begun(large, true, large.length)]);
      assert.equal(result?.state, "stored");
      assert.equal(balancer.receivedBytes, large.length);
    });

    for (const [what, bytes] of [
      ["small", small],
      ["large", large],
    ] as const) {
      it(`takes the first receipt of a ${what} file that is stored already`, async () => {
        const balancer = await setUp();
        assert.equal((await upload(balancer, [begun(bytes, false, bytes.length)]))[0]?.state, "stored");
        for (const sizeBytes of [bytes.length, undefined])
          assert.equal((await upload(balancer, [begun(bytes, true, sizeBytes)]))[0]?.state, "stored");
        assert.equal(balancer.uploads.size, 1);
      });

      it(`fails a ${what} file that has another length than the one that is stored under its id`, async () => {
        const balancer = await setUp();
        await upload(balancer, [begun(bytes, false, bytes.length)]);
        const longer = Buffer.concat([bytes, Buffer.from("x")]);
        const [result] = await upload(balancer, [begun(longer, true, longer.length)]);
        assert.equal(result?.state === "failed" && result.answered, true);
      });
    }

    it("fails a small file that has other bytes than the one that is stored under its id", async () => {
      const balancer = await setUp();
      await upload(balancer, [begun(small, false, small.length)]);
      const [result] = await upload(balancer, [begun(randomBytes(small.length), true, small.length)]);
      assert.equal(result?.state === "failed" && result.answered, true);
    });
  });
});
