import assert from "node:assert/strict";
import { ExplainResponse } from "@bilancia/proto/gen/admin";
import { maxMessageBytes } from "@bilancia/proto/limits";
import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { PickHistory } from "../observe/pick-history.js";
import type { UploadDirectory } from "../ports/upload-directory.js";
import { pickOf } from "../test-support/pick-of.js";
import { describeFile } from "../test-support/queue-fixtures.js";
import { ExplainService } from "./explain-service.js";

/** What is told of upload 1 after so many choices among so many servers. */
function explained(choicesCount: number, serversCount: number): Promise<ExplainResponse> {
  const history = new PickHistory(4_096);
  for (let attempt = 1; attempt <= choicesCount; attempt++) history.picked(pickOf(1n, attempt, serversCount));
  const upload = { description: describeFile(), state: { kind: "queued" }, attempts: [] };
  const uploads = { find: () => upload } as unknown as UploadDirectory;
  const { explain } = new ExplainService(uploads, history, { note: () => {} }).handlers;
  const call = { request: { requestNumber: 1n }, getPeer: () => "", getPath: () => "" };
  return new Promise((resolve, reject) => {
    const answered: sendUnaryData<ExplainResponse> = (error, response) =>
      response ? resolve(response) : reject(error);
    explain(call as unknown as ServerUnaryCall<{ requestNumber: bigint }, ExplainResponse>, answered);
  });
}

describe("why an upload went where it went", () => {
  it("is told of every choice that is remembered, oldest first", async () => {
    const { choices } = await explained(3, 2);
    assert.deepEqual(
      choices.map(({ attempt, candidates }) => [attempt, candidates.length]),
      [1, 2, 3].map((attempt) => [attempt, 2]),
    );
  });

  for (const [choicesCount, serversCount] of [
    [4_096, 6],
    [400, 100],
  ] as const)
    it(`is told of the last of ${choicesCount} choices among ${serversCount} servers, as many as fit into a message`, async () => {
      const answer = await explained(choicesCount, serversCount);
      const sizeBytes = ExplainResponse.encode(answer).finish().length;
      assert.ok(sizeBytes < maxMessageBytes && sizeBytes > maxMessageBytes / 3, `${sizeBytes} bytes`);
      const { choices } = answer;
      assert.equal(choices.at(-1)?.attempt, choicesCount);
      assert.equal(choices[0]?.attempt, choicesCount - choices.length + 1);
    });
});
