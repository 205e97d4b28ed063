import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay, setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import { Kind, RefuseReason } from "@bilancia/proto/gen/storage";
import { maxPartDataBytes } from "@bilancia/proto/limits";
import type { StorageClient } from "@bilancia/proto/services";
import { DocumentThread } from "./document-thread.js";
import { storedNames, tempNames, withServer } from "./testing/test-server.js";
import { header, part, TestStream, wholeFile } from "./testing/test-stream.js";

const asDocument = { kind: Kind.KIND_TEXT_DOCUMENT, name: "d.json" };
const largestBytes = 16 * 1024 * 1024;
/** How long another call may take: far less than the documents would take on the event loop, and enough for a machine that is busy. */
const promptMs = 2_000;
/** Between two calls. */
const pauseMs = 10;
/** How long a program may take that has hardly anything to do. */
const endMs = 15_000;

/** A thread that dies of a document that begins with `!`, and finds as many characters in others as they have bytes. */
const fragile = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from "node:worker_threads";
    parentPort.on("message", (bytes) => {
      if (bytes[0] === 0x21) throw new Error("it was too much");
      parentPort.postMessage({ kind: "read", stats: { lettersA: 0, characters: bytes.length } });
    });`)}`,
);

function documentBytes(content: string): Buffer {
  return Buffer.from(JSON.stringify({ title: "t", content }));
}

/** Sends a document of 16 MiB at most in parts. */
async function sendInParts(stream: TestStream, requestNumber: number, bytes: Buffer): Promise<void> {
  await stream.send({ header: header(requestNumber, asDocument), offset: 0, data: Buffer.alloc(0) });
  await stream.accepted(requestNumber);
  for (let at = 0; at < bytes.length; at += maxPartDataBytes) {
    const data = bytes.subarray(at, at + maxPartDataBytes);
    await stream.send(part(at, data, at + data.length === bytes.length));
  }
}

/** Makes one call after another until something has ended. Resolves with how long the slowest took, in milliseconds. */
async function slowestCallMs(client: StorageClient, something: Promise<unknown>): Promise<number> {
  let hasEnded = false;
  const ended = something.finally(() => {
    hasEnded = true;
  });
  let slowestMs = 0;
  while (!hasEnded) {
    const beganMs = performance.now();
    await new Promise<void>((resolve, reject) => client.load({}, (error) => (error ? reject(error) : resolve())));
    slowestMs = Math.max(slowestMs, performance.now() - beganMs);
    await delay(pauseMs);
  }
  await ended;
  return slowestMs;
}

describe("thread for documents", () => {
  it("gives each document its own answer: what is in it, or the refusal with its words", async () => {
    const thread = new DocumentThread();
    const [first, refused, last] = await Promise.allSettled([
      thread.read(documentBytes("Anna")),
      thread.read(Buffer.from("[]")),
      thread.read(documentBytes("a🍋")),
    ]);
    assert.deepEqual(first?.status === "fulfilled" && first.value, { lettersA: 2, characters: 4 });
    assert.deepEqual(last?.status === "fulfilled" && last.value, { lettersA: 1, characters: 2 });
    assert.ok(refused?.status === "rejected");
    assert.equal(refused.reason.reason, RefuseReason.REFUSE_REASON_NOT_A_TEXT_DOCUMENT);
    assert.equal(
      refused.reason.message,
      'not a text document: it is an array, not a JSON object; expected a JSON object with the strings "title" and "content"',
    );
  });

  it("takes the bytes over without a copy, but for a part of larger memory, which it leaves as it is", async () => {
    const thread = new DocumentThread();
    const own = new Uint8Array(documentBytes("own"));
    const larger = Buffer.concat([Buffer.from("before"), documentBytes("aaa"), Buffer.from("after")]);
    const found = await Promise.all([thread.read(own), thread.read(larger.subarray(6, -5))]);
    assert.deepEqual(
      found.map(({ lettersA }) => lettersA),
      [0, 3],
    );
    assert.equal(own.length, 0);
    assert.equal(larger.subarray(-5).toString(), "after");
  });

  it("lets the event loop go on while it reads", async () => {
    const thread = new DocumentThread();
    await thread.read(documentBytes("it has begun"));
    let hasEnded = false;
    const reading = thread
      .read(Buffer.from(`{"title":"","content":"","more":[${"{},".repeat(500_000)}0]}`))
      .finally(() => {
        hasEnded = true;
      });
    let turns = 0;
    for (; !hasEnded; turns++) await turn();
    await reading;
    // On the event loop it would take one.
    assert.ok(turns > 10, `${turns} turns`);
  });

  it("refuses what a thread that failed was to read, as a failure of the server, and begins another", async () => {
    const thread = new DocumentThread(fragile);
    assert.equal((await thread.read(Buffer.from("fine"))).characters, 4);
    for (let time = 1; time <= 2; time++) {
      const lost = await Promise.allSettled([thread.read(Buffer.from("!")), thread.read(Buffer.from("behind it"))]);
      for (const one of lost) {
        assert.ok(one.status === "rejected");
        assert.equal(one.reason.reason, RefuseReason.REFUSE_REASON_INTERNAL);
        assert.match(one.reason.cause.message, /it was too much/);
      }
      assert.equal((await thread.read(Buffer.from("fine again"))).characters, 10);
    }
  });

  it("keeps the process alive while it reads, and not longer", async () => {
    const file = JSON.stringify(new URL("./document-thread.js", import.meta.url));
    const program = `import(${file}).then(async ({ DocumentThread }) => {
      const thread = new DocumentThread();
      for (const content of ["a", "aa"])
        console.log((await thread.read(Buffer.from(JSON.stringify({ title: "", content })))).lettersA);
    });`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--eval", program], { timeout: endMs });
    assert.equal(stdout, "1\n2\n");
  });
});

describe("a large document", () => {
  it("keeps nobody waiting, however many or deep its values are", () =>
    withServer({}, async ({ client }, dir) => {
      const cases = [
        [Buffer.alloc(largestBytes, "["), /nested 16777216 deep; expected at most 1000$/],
        [Buffer.from("{},".repeat(largestBytes / 3)), /5592406 values; expected at most 1000000$/],
        [Buffer.from(`[${"{},".repeat(500_000)}{}]`), /it is an array/],
      ] as const;
      const stream = new TestStream(client);
      for (const [at, [bytes, problem]] of cases.entries()) {
        const refusal = sendInParts(stream, at + 1, bytes).then(() =>
          stream.refused(at + 1, "REFUSE_REASON_NOT_A_TEXT_DOCUMENT"),
        );
        const slowestMs = await slowestCallMs(client, refusal);
        assert.match(await refusal, problem);
        assert.ok(slowestMs < promptMs, `${slowestMs} ms`);
      }
      await stream.close();
      assert.deepEqual(await storedNames(dir), []);
      assert.deepEqual(await tempNames(dir), []);
    }));

  it("is counted and stored also when it comes in one part", () =>
    withServer({}, async ({ client }, dir) => {
      const bytes = documentBytes("àA".repeat(60_000));
      const stream = new TestStream(client);
      await stream.send(wholeFile(header(1, asDocument), bytes));
      assert.deepEqual((await stream.saved(1)).textStats, { lettersA: 60_000n, characters: 120_000n });
      assert.deepEqual(await readFile(join(dir, "1_d.json")), bytes);
      await stream.send(wholeFile(header(2, asDocument), Buffer.alloc(100_000, "[")));
      assert.match(await stream.refused(2, "REFUSE_REASON_NOT_A_TEXT_DOCUMENT"), /nested 100000 deep/);
      await stream.close();
    }));
});
