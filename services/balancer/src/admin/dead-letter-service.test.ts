import assert from "node:assert/strict";
import {
  AdminClient,
  AdminService as AdminDefinition,
  type ExportUploadResponse,
  type ListDeadLettersRequest,
} from "@bilancia/proto/gen/admin";
import { listen } from "@bilancia/proto/grpc-server";
import { callUnary } from "@bilancia/proto/unary";
import { credentials, Server, type ServiceError, status, type UntypedHandleCall } from "@grpc/grpc-js";
import { crc32c } from "@node-rs/crc32";
import { BilanciaError } from "../domain/errors.js";
import type { Content } from "../ports/content.js";
import type { DeadLetter, DeadLetters } from "../ports/dead-letters.js";
import { chunkAt, describeFile } from "../test-support/queue-fixtures.js";
import { DeadLetterService } from "./dead-letter-service.js";

const letterOf = (requestNumber: bigint, message = "no"): DeadLetter => ({
  requestNumber,
  description: describeFile({ name: `${requestNumber}.bin` }),
  client: "10.0.0.1:40000",
  sizeBytes: 500_000,
  sha256: undefined,
  receivedAtMs: 1_000,
  givenUpAtMs: 2_000,
  rejection: { reason: "ATTEMPTS_EXHAUSTED", message: "not delivered after 2 attempts" },
  attemptCount: 2,
  attempts: [{ number: 1, server: "storage-1", startedAtMs: 1_500, outcome: "refused", message }],
});

describe("the dead letters' rpcs", () => {
  const known = [3n, 5n, 9n];
  /** What the server said that refused them. */
  let words = "no";
  const done: string[] = [];
  let contents: Content[] = [];
  let closed = 0;
  const faults: string[] = [];
  const find = (requestNumber: bigint) => {
    if (!known.includes(requestNumber)) throw new BilanciaError("UNKNOWN_UPLOAD", `no upload ${requestNumber}`);
    return letterOf(requestNumber);
  };
  const letters: DeadLetters = {
    list: async (after, limit) =>
      known
        .filter((number) => number > after)
        .slice(0, limit)
        .map((number) => letterOf(number, words)),
    find: async (number) => find(number),
    retry: async (number) => void done.push(`retry ${find(number).requestNumber}`),
    discard: async (number) => void done.push(`discard ${find(number).requestNumber}`),
    read: async (number) => ({
      letter: find(number),
      content: {
        next: () => {
          const next = contents.shift();
          if (!next) throw new Error("damaged at /var/secret");
          return next;
        },
        close: () => {
          closed += 1;
        },
      },
    }),
  };
  let server: Server;
  let client: AdminClient;

  before(async () => {
    server = new Server();
    const observer = { note: ({ kind }: { kind: string }) => void faults.push(kind) };
    const handlers = new DeadLetterService(letters, observer).handlers as Record<string, UntypedHandleCall>;
    server.addService(AdminDefinition, handlers);
    client = new AdminClient(await listen(server, "127.0.0.1:0"), credentials.createInsecure());
  });
  after(() => {
    client.close();
    server.forceShutdown();
  });
  beforeEach(() => {
    done.length = 0;
    faults.length = 0;
    closed = 0;
  });

  const list = (request: Partial<ListDeadLettersRequest>) =>
    callUnary(
      client.listDeadLetters.bind(client),
      { pageSize: 0, pageToken: "", requestNumber: 0n, ...request },
      5_000,
    );
  const exported = (requestNumber: bigint) =>
    new Promise<{ messages: ExportUploadResponse[]; error?: ServiceError }>((resolve) => {
      const messages: ExportUploadResponse[] = [];
      client
        .exportUpload({ requestNumber })
        .on("data", (message: ExportUploadResponse) => messages.push(message))
        .on("error", (error: ServiceError) => resolve({ messages, error }))
        .on("end", () => resolve({ messages }));
    });
  const failsWith = (work: Promise<unknown>, code: status, words: RegExp) =>
    assert.rejects(work, (error: ServiceError) => {
      assert.equal(error.code, code);
      assert.match(error.details, words);
      return true;
    });

  it("list in pages until there is no more", async () => {
    const first = await list({ pageSize: 2 });
    assert.deepEqual(
      first.deadLetters.map(({ requestNumber }) => requestNumber),
      [3n, 5n],
    );
    const [letter] = first.deadLetters;
    assert.equal(letter?.rejection?.message, "not delivered after 2 attempts");
    assert.equal(letter?.sizeBytes, 500_000n);
    assert.equal(letter?.attempts[0]?.server, "storage-1");
    const second = await list({ pageSize: 2, pageToken: first.nextPageToken });
    assert.deepEqual(
      second.deadLetters.map(({ requestNumber }) => requestNumber),
      [9n],
    );
    assert.equal(second.nextPageToken, "");
    assert.equal((await list({})).deadLetters.length, 3);
  });

  it("list fewer than asked for where more would not fit into a message, and each once", async () => {
    words = "x".repeat(200_000);
    const listed: bigint[][] = [];
    let pageToken = "";
    do {
      const page = await list({ pageToken });
      listed.push(page.deadLetters.map(({ requestNumber }) => requestNumber));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    assert.deepEqual(listed, [[3n, 5n], [9n]]);
    words = "x".repeat(600_000);
    assert.equal((await list({})).deadLetters.length, 1);
    words = "no";
  });

  it("list one by its number", async () => {
    const { deadLetters, nextPageToken } = await list({ requestNumber: 5n, pageSize: 1 });
    assert.deepEqual([deadLetters[0]?.name, deadLetters.length, nextPageToken], ["5.bin", 1, ""]);
    await failsWith(list({ requestNumber: 4n }), status.NOT_FOUND, /UNKNOWN_UPLOAD: no upload 4/);
  });

  it("say what is wrong with a page that cannot be given", async () => {
    await failsWith(list({ pageSize: 1_001 }), status.INVALID_ARGUMENT, /at most 1000; came 1001/);
    await failsWith(list({ pageToken: "x" }), status.INVALID_ARGUMENT, /page_token .*; came "x"/);
    await failsWith(list({ pageToken: "18446744073709551616" }), status.INVALID_ARGUMENT, /page_token/);
    await failsWith(list({ pageToken: "1", requestNumber: 3n }), status.INVALID_ARGUMENT, /came both/);
  });

  it("retry and discard what they are told to", async () => {
    await callUnary(client.retryUpload.bind(client), { requestNumber: 3n }, 5_000);
    await callUnary(client.discardUpload.bind(client), { requestNumber: 9n }, 5_000);
    assert.deepEqual(done, ["retry 3", "discard 9"]);
    for (const method of [client.retryUpload, client.discardUpload]) {
      const call = (requestNumber: bigint) => callUnary(method.bind(client), { requestNumber }, 5_000);
      await failsWith(call(4n), status.NOT_FOUND, /no upload 4/);
      await failsWith(call(0n), status.INVALID_ARGUMENT, /expected a request_number from 1; came 0/);
    }
    assert.deepEqual(faults, [], "what an operator does wrong is no fault of the balancer");
  });

  it("export the description, then every byte", async () => {
    contents = [
      { kind: "chunk", chunk: chunkAt(0, 262_144) },
      { kind: "chunk", chunk: chunkAt(262_144, 237_856) },
      { kind: "end", sizeBytes: 500_000 },
    ];
    const { messages, error } = await exported(3n);
    assert.equal(error, undefined);
    const parts = messages.map(({ part }) => part);
    assert.equal(parts[0]?.$case === "deadLetter" && parts[0].value.requestNumber, 3n);
    let offset = 0n;
    for (const part of parts.slice(1)) {
      assert.ok(part?.$case === "chunk");
      assert.equal(part.value.offset, offset);
      assert.equal(part.value.crc32c, crc32c(part.value.data));
      offset += BigInt(part.value.data.length);
    }
    assert.equal(offset, 500_000n);
    assert.equal(closed, 1);
  });

  it("end an export whose bytes are damaged with INTERNAL, without inner words, and close the reader", async () => {
    contents = [{ kind: "chunk", chunk: chunkAt(0, 10) }];
    const { error } = await exported(3n);
    assert.equal(error?.code, status.INTERNAL);
    assert.doesNotMatch(error?.details ?? "", /secret/);
    assert.equal(closed, 1);
    assert.deepEqual(faults, ["fault"]);
  });

  it("end an export of an unknown upload with NOT_FOUND", async () => {
    const { messages, error } = await exported(4n);
    assert.equal(error?.code, status.NOT_FOUND);
    assert.match(error?.details ?? "", /no upload 4/);
    assert.deepEqual(messages, []);
  });
});
