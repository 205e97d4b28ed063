import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Kind } from "@bilancia/proto/gen/storage";
import { maxPartsPerMessage } from "@bilancia/proto/limits";
import { eventually } from "@bilancia/proto/testing/eventually";
import { crc32c } from "@node-rs/crc32";
import { startTestServer, storedNames, tempNames, withFolder, withServer } from "./testing/test-server.js";
import { header, origin, otherUploadId, part, sha256, TestStream, uploadId, wholeFile } from "./testing/test-stream.js";

const otherOrigin = "fedcba9876543210fedcba9876543210";
const document = '{"title":"t","content":"Anna"}';
const asDocument = { kind: Kind.KIND_TEXT_DOCUMENT, name: "d.json" };

describe("a file on a Save stream", () => {
  it("is saved: small, empty, in parts, and mixed with others in one message", () =>
    withServer({}, async ({ client, logged }, dir) => {
      const stream = new TestStream(client);
      const data = randomBytes(1_000);
      await stream.send(
        wholeFile(header(1), data, { sizeBytes: 1_000n, sha256: sha256(data) }),
        wholeFile(header(2, { name: "empty" }), ""),
        { header: header(3, { name: "parts.txt", sizeBytes: 6n }), offset: 0, data: Buffer.from("ab") },
        part(2, "cd"),
      );
      const saved = await stream.saved(1);
      assert.deepEqual(
        { ...saved, sha256: Buffer.from(saved.sha256) },
        { storedName: "1_a.bin", sizeBytes: 1_000n, sha256: sha256(data), duplicate: false, textStats: undefined },
      );
      assert.equal((await stream.saved(2)).sizeBytes, 0n);
      await stream.accepted(3);
      await stream.send(part(4, "ef", true), wholeFile(header(4, asDocument), document));
      assert.deepEqual(Buffer.from((await stream.saved(3)).sha256), sha256("abcdef"));
      assert.deepEqual((await stream.saved(4)).textStats, { lettersA: 2n, characters: 4n });
      await stream.close();
      assert.deepEqual(await storedNames(dir), ["1_a.bin", "2_empty", "3_parts.txt", "4_d.json"]);
      assert.deepEqual(await readFile(join(dir, "1_a.bin")), data);
      assert.equal(await readFile(join(dir, "3_parts.txt"), "utf8"), "abcdef");
      assert.deepEqual(await tempNames(dir), []);
      const accepts = stream.results.filter(({ outcome }) => outcome?.$case === "accept");
      assert.deepEqual(
        accepts.map(({ requestNumber }) => requestNumber),
        [3n],
      );
      const entry = logged.find(({ msg, requestNumber }) => msg === "file saved" && Number(requestNumber) === 1);
      assert.deepEqual(
        [entry?.storedName, entry?.sizeBytes, entry?.uploadId, entry?.attempt],
        ["1_a.bin", 1_000, uploadId, 1],
      );
    }));

  it("is saved whole when it has 64 MiB, and holds back a sender that is faster", () =>
    withServer({}, async ({ client }, dir) => {
      const stream = new TestStream(client);
      const piece = randomBytes(256 * 1024);
      const pieces = 256;
      const whole = Buffer.concat(Array.from({ length: pieces }, () => piece));
      await stream.send({ header: header(1), offset: 0, data: piece, crc32c: crc32c(piece) });
      for (let at = 1; at < pieces; at++) await stream.send(part(at * piece.length, piece, at === pieces - 1));
      const saved = await stream.saved(1);
      assert.equal(saved.sizeBytes, BigInt(whole.length));
      assert.deepEqual(Buffer.from(saved.sha256), sha256(whole));
      assert.deepEqual(sha256(await readFile(join(dir, "1_a.bin"))), sha256(whole));
      await stream.close();
    }));

  it("is saved also while another one gets any number of parts without data", () =>
    withServer({}, async ({ client }) => {
      const idle = new TestStream(client);
      await idle.send({ header: header(1), offset: 0, data: Buffer.alloc(0) });
      await idle.accepted(1);
      const empty = Array.from({ length: maxPartsPerMessage }, () => part(0, ""));
      // More than all that streams may hold in memory, were each part held.
      for (let sent = 0; sent < 200_000; sent += empty.length) await idle.send(...empty);
      const stream = new TestStream(client);
      for (const number of [2, 3]) {
        await stream.send(wholeFile(header(number), "x"));
        await stream.saved(number);
      }
      await idle.send(part(0, "abc", true));
      assert.equal((await idle.saved(1)).sizeBytes, 3n);
      await Promise.all([idle.close(), stream.close()]);
    }));

  it("is counted when it is a document in many parts", () =>
    withServer({}, async ({ client }, dir) => {
      const stream = new TestStream(client);
      const bytes = Buffer.from(JSON.stringify({ titolo: "t", contenuto: "àA".repeat(200_000) }));
      const cut = 250_000;
      await stream.send({ header: header(1, asDocument), offset: 0, data: bytes.subarray(0, cut) });
      await stream.accepted(1);
      for (let at = cut; at < bytes.length; at += cut)
        await stream.send(part(at, bytes.subarray(at, at + cut), at + cut >= bytes.length));
      assert.deepEqual((await stream.saved(1)).textStats, { lettersA: 200_000n, characters: 400_000n });
      await stream.send({ header: header(2, asDocument), offset: 0, data: Buffer.from("no ") }, part(3, "json", true), {
        header: header(3, asDocument),
        offset: 0,
        data: Buffer.from("nor "),
      });
      await stream.accepted(3);
      await stream.send(part(4, "this", true));
      await stream.refused(2, "REFUSE_REASON_NOT_A_TEXT_DOCUMENT");
      await stream.refused(3, "REFUSE_REASON_NOT_A_TEXT_DOCUMENT");
      await stream.close();
      assert.deepEqual(await storedNames(dir), ["1_d.json"]);
      assert.deepEqual(await tempNames(dir), []);
    }));

  it("is answered as a duplicate when it is stored already, also after a restart", () =>
    withFolder(async (dir) => {
      for (const run of [1, 2]) {
        const server = await startTestServer(dir);
        const stream = new TestStream(server.client);
        await stream.send(wholeFile(header(1, { ...asDocument, term: BigInt(run) }), document));
        const saved = await stream.saved(1);
        assert.equal(saved.duplicate, run > 1);
        assert.equal(saved.storedName, "1_d.json");
        assert.equal(saved.sizeBytes, BigInt(document.length));
        assert.deepEqual(Buffer.from(saved.sha256), sha256(document));
        assert.deepEqual(saved.textStats, { lettersA: 2n, characters: 4n });
        // A header is enough to tell, and the rest is skipped.
        await stream.send({
          header: header(1, { ...asDocument, term: BigInt(run), attempt: 2 }),
          offset: 0,
          data: Buffer.from("what"),
        });
        await eventually("the second answer", () => stream.results.length === 2);
        await stream.send(part(4, "ever", true), wholeFile(header(10 + run), "x"));
        await stream.saved(10 + run);
        await stream.close();
        assert.equal(stream.results.length, 3);
        await server.stop();
      }
      assert.deepEqual(await storedNames(dir), ["11_a.bin", "12_a.bin", "1_d.json"].sort());
    }));

  it("is refused when the number is another upload's, or size or digest differ from what is stored", () =>
    withServer({}, async ({ client }) => {
      const stream = new TestStream(client);
      await stream.send(wholeFile(header(1), "abc"));
      await stream.saved(1);
      const cases = [
        ["REFUSE_REASON_NUMBER_TAKEN", header(1, { uploadId: otherUploadId })],
        ["REFUSE_REASON_SIZE_MISMATCH", header(1, { sizeBytes: 4n })],
        ["REFUSE_REASON_DIGEST_MISMATCH", header(1, { sha256: sha256("abd") })],
      ] as const;
      for (const [reason, again] of cases) {
        const other = new TestStream(client);
        // Its bytes are what the header says, so that only what is stored can be the reason.
        await other.send({ header: again, offset: 0, data: Buffer.from("ab") });
        await other.refused(1, reason);
        await other.close();
      }
      await stream.close();
    }));

  it("is refused when a later attempt has been seen, also after a restart", () =>
    withFolder(async (dir) => {
      const first = await startTestServer(dir);
      const stream = new TestStream(first.client);
      await stream.send(
        wholeFile(header(1, { attempt: 2 }), "abc"),
        wholeFile(header(2, { attempt: 3, sizeBytes: 9n }), "x"),
      );
      await stream.saved(1);
      await stream.refused(2, "REFUSE_REASON_SIZE_MISMATCH");
      // A duplicate raises the fence, and that survives.
      await stream.send(wholeFile(header(1, { term: 2n, attempt: 1 }), "abc"));
      await eventually("the duplicate", () => stream.results.length === 3);
      await stream.close();
      await first.stop();
      const second = await startTestServer(dir);
      const late = new TestStream(second.client);
      await late.send(wholeFile(header(1, { attempt: 9 }), "abc"));
      assert.match(
        await late.refused(1, "REFUSE_REASON_STALE_ATTEMPT"),
        /term 1, attempt 9 came after term 2, attempt 1/,
      );
      await late.close();
      await second.stop();
    }));

  it("is refused as stale when only memory knows of the later attempt", () =>
    withServer({}, async ({ client }) => {
      const stream = new TestStream(client);
      await stream.send(wholeFile(header(1, { attempt: 3, sizeBytes: 9n }), "x"));
      await stream.refused(1, "REFUSE_REASON_SIZE_MISMATCH");
      const late = new TestStream(client);
      await late.send(wholeFile(header(1, { attempt: 2 }), "x"));
      await late.refused(1, "REFUSE_REASON_STALE_ATTEMPT");
      await Promise.all([stream.close(), late.close()]);
    }));

  it("is refused as stale also when the later attempt was refused for its header", () =>
    withServer({ maxFileBytes: "1000" }, async ({ client }, dir) => {
      const stream = new TestStream(client);
      await stream.send(
        wholeFile(header(1, { attempt: 3, sizeBytes: 2_000n }), "x"),
        wholeFile(header(2, { attempt: 3, name: ".x" }), "x"),
        wholeFile(header(3, { attempt: 3, sha256: Buffer.alloc(5) }), "x"),
      );
      await stream.refused(1, "REFUSE_REASON_TOO_LARGE");
      await stream.refused(2, "REFUSE_REASON_INVALID_NAME");
      await stream.refused(3, "REFUSE_REASON_INVALID_HEADER");
      const late = new TestStream(client);
      for (const number of [1, 2, 3]) {
        await late.send(wholeFile(header(number, { attempt: 2 }), "x"));
        await late.refused(number, "REFUSE_REASON_STALE_ATTEMPT");
      }
      assert.deepEqual(await storedNames(dir), []);
      await Promise.all([stream.close(), late.close()]);
    }));

  it("is taken from its owner as before after later attempts of another upload were refused", () =>
    withServer({ maxFileBytes: "1000" }, async ({ client }) => {
      const stream = new TestStream(client);
      await stream.send(wholeFile(header(1), "abc"));
      await stream.saved(1);
      const foreign = header(1, { uploadId: otherUploadId, term: 99n });
      for (const [reason, file] of [
        ["REFUSE_REASON_NUMBER_TAKEN", wholeFile(foreign, "abc")],
        ["REFUSE_REASON_TOO_LARGE", wholeFile({ ...foreign, sizeBytes: 2_000n }, "abc")],
        ["REFUSE_REASON_SIZE_MISMATCH", wholeFile({ ...foreign, sizeBytes: 9n }, "abc")],
      ] as const) {
        const other = new TestStream(client);
        await other.send(file);
        await other.refused(1, reason);
        await other.close();
      }
      const again = new TestStream(client);
      await again.send(wholeFile(header(1, { attempt: 2 }), "abc"));
      assert.equal((await again.saved(1)).duplicate, true);
      await Promise.all([stream.close(), again.close()]);
    }));

  for (const attempt of [1, 2])
    it(`is taken over by attempt ${attempt} while attempt 1 is still arriving`, () =>
      withServer({}, async ({ client }, dir) => {
        const old = new TestStream(client);
        await old.send({ header: header(1), offset: 0, data: Buffer.from("ol") });
        await old.accepted(1);
        await eventually("the temp file", async () => (await tempNames(dir)).length === 1);
        const late = new TestStream(client);
        await late.send(wholeFile(header(1, { attempt }), "new"));
        await old.refused(1, "REFUSE_REASON_STALE_ATTEMPT");
        assert.equal((await late.saved(1)).duplicate, false);
        // What is left of it is skipped.
        await old.send(part(2, "d", true), wholeFile(header(2), "x"));
        await old.saved(2);
        await Promise.all([old.close(), late.close()]);
        assert.equal(await readFile(join(dir, "1_a.bin"), "utf8"), "new");
        assert.deepEqual(await tempNames(dir), []);
      }));

  it("is taken over by the last of many attempts, also when those between come at the same moment and stall", () =>
    withServer({}, async ({ client }, dir) => {
      const attempts = [1, 2, 3, 4].map((attempt) => ({ attempt, stream: new TestStream(client) }));
      const [first, ...later] = attempts;
      assert.ok(first);
      await first.stream.send({ header: header(1), offset: 0, data: Buffer.from("ol") });
      await first.stream.accepted(1);
      for (const { attempt, stream } of later)
        if (attempt < 4) void stream.send({ header: header(1, { attempt }), offset: 0, data: Buffer.from("st") });
        else void stream.send(wholeFile(header(1, { attempt }), "new"));
      for (const { attempt, stream } of attempts)
        if (attempt < 4) await stream.refused(1, "REFUSE_REASON_STALE_ATTEMPT");
        else assert.equal((await stream.saved(1)).duplicate, false);
      await Promise.all(attempts.map(({ stream }) => stream.close()));
      assert.equal(await readFile(join(dir, "1_a.bin"), "utf8"), "new");
      assert.deepEqual(await tempNames(dir), []);
    }));

  it("waits for the outcome of an attempt that is whole, and is its duplicate", () =>
    withServer({ simulateWorkMsPerChar: "50" }, async ({ client }, dir) => {
      const old = new TestStream(client);
      const late = new TestStream(client);
      await old.send(wholeFile(header(1, asDocument), document));
      await eventually("the file", async () => (await storedNames(dir)).length === 1);
      await late.send(wholeFile(header(1, { ...asDocument, attempt: 2 }), document), wholeFile(header(2), "x"));
      // Others on the same stream need not wait.
      await late.saved(2);
      assert.equal(old.results.length, 0);
      assert.equal((await late.saved(1)).duplicate, true);
      assert.equal((await old.saved(1)).duplicate, false);
      await Promise.all([old.close(), late.close()]);
    }));

  it("keeps the files of two origins with one number apart, and never overwrites a file it does not know", () =>
    withServer({}, async ({ client }, dir) => {
      const stream = new TestStream(client);
      await stream.send(wholeFile(header(1, { name: "a.tar.gz" }), "same"));
      assert.equal((await stream.saved(1)).storedName, "1_a.tar.gz");
      const other = new TestStream(client);
      const otherHeader = header(1, { name: "a.tar.gz", origin: otherOrigin });
      await other.send(wholeFile(otherHeader, "same"));
      assert.deepEqual((await other.saved(1)).storedName, "1_a.tar~fedcba98.gz");
      assert.equal((await other.saved(1)).duplicate, false);
      await other.send(wholeFile(otherHeader, "same"));
      await eventually("the duplicate", () => other.results.length === 2);
      await other.close();
      await writeFile(join(dir, "2_b"), "not ours");
      await writeFile(join(dir, `2_b~${origin.slice(0, 8)}`), "nor this");
      await stream.send(wholeFile(header(2, { name: "b" }), "nor this"));
      assert.match(await stream.refused(2, "REFUSE_REASON_INTERNAL"), /both taken/);
      // The refusal leaves no record that would claim the foreign file.
      await stream.send(wholeFile(header(2, { name: "b", attempt: 2 }), "nor this"));
      await eventually(
        "again",
        () => stream.results.filter(({ outcome }) => outcome?.$case === "refused").length === 2,
      );
      assert.equal(await readFile(join(dir, "2_b"), "utf8"), "not ours");
      assert.deepEqual(await tempNames(dir), []);
      await stream.close();
    }));

  it("is saved afresh when its file has gone, or another lies under its name", () =>
    withServer({}, async ({ client }, dir) => {
      const stream = new TestStream(client);
      await stream.send(wholeFile(header(1), "abc"));
      await stream.saved(1);
      await writeFile(join(dir, "1_a.bin"), "xyz");
      const again = new TestStream(client);
      await again.send(wholeFile(header(1, { attempt: 2 }), "abc"));
      const saved = await again.saved(1);
      assert.equal(saved.duplicate, false);
      assert.equal(await readFile(join(dir, saved.storedName), "utf8"), "abc");
      await Promise.all([stream.close(), again.close()]);
    }));

  it("is put off with 'busy' when too many are in progress", () =>
    withServer({ maxFilesInProgress: "1" }, async ({ client }) => {
      const stream = new TestStream(client);
      await stream.send({ header: header(1), offset: 0, data: Buffer.from("a") });
      const other = new TestStream(client);
      await stream.accepted(1);
      await other.send({ header: header(2), offset: 0, data: Buffer.from("a") }, part(1, "b", true));
      assert.equal((await other.final(2)).$case, "busy");
      await stream.send(part(1, "b", true));
      await stream.saved(1);
      await other.send(wholeFile(header(3), "c"));
      await other.saved(3);
      await Promise.all([stream.close(), other.close()]);
    }));

  it("takes its time as a document, while others and the load report go on", () =>
    withServer({ simulateWorkMsPerChar: "100000" }, async ({ client }, dir) => {
      const slow = new TestStream(client);
      await slow.send(wholeFile(header(1, asDocument), document), wholeFile(header(2), "x"));
      await slow.saved(2);
      await eventually("both files", async () => (await storedNames(dir)).length === 2);
      const load = await new Promise<number | undefined>((resolve, reject) =>
        client.load({}, (error, report) => (error ? reject(error) : resolve(report.inFlightFiles))),
      );
      assert.equal(load, 1);
      slow.cancel();
      await slow.ended;
      // Nobody waits for the answer any more, so the work is not simulated to its end.
      await eventually(
        "the end of the file",
        () =>
          new Promise<boolean>((resolve) => client.load({}, (_error, report) => resolve(report?.inFlightFiles === 0))),
      );
    }));

  it("is dropped when its stream breaks before it is whole", () =>
    withServer({}, async ({ client, logged }, dir) => {
      const stream = new TestStream(client);
      await stream.send(wholeFile(header(1), "whole"), { header: header(2), offset: 0, data: Buffer.from("half") });
      await stream.accepted(2);
      await stream.saved(1);
      await eventually("the temp file", async () => (await tempNames(dir)).length === 1);
      stream.cancel();
      await eventually("the temp file to go", async () => (await tempNames(dir)).length === 0);
      assert.deepEqual(await storedNames(dir), ["1_a.bin"]);
      await eventually("the log line", () => logged.some(({ msg }) => String(msg).startsWith("file dropped")));
    }));
});
