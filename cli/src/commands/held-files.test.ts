import assert from "node:assert/strict";
import { QueryUploadResponse, UploadState } from "@bilancia/proto/gen/balancer";
import type { UnansweredFile } from "../client/upload-types.js";
import { heldFiles } from "./held-files.js";

const files = Array.from(
  { length: 40 },
  (_, index): UnansweredFile => ({
    requestNumber: 0n,
    uploadId: `${index}`,
    name: "a.bin",
    sizeBytes: 5,
    allSent: index % 2 === 0,
  }),
);
const answer = (state: UploadState, persistedBytes = 5n) =>
  QueryUploadResponse.fromPartial({ requestNumber: 7n, state, sizeBytes: 5n, persistedBytes });

describe("what the balancer has of files that were stopped", () => {
  it("is what it says: nothing of what it does not know or has given up, a part of what it waits for", async () => {
    const answers: Record<string, QueryUploadResponse> = {
      1: answer(UploadState.UPLOAD_STATE_QUEUED),
      2: answer(UploadState.UPLOAD_STATE_RECEIVING, 4n),
      3: answer(UploadState.UPLOAD_STATE_DEAD),
      4: answer(UploadState.UPLOAD_STATE_RECEIVING),
      5: answer(UploadState.UPLOAD_STATE_RECEIVING),
    };
    const held = await heldFiles(files, async (uploadId) => answers[uploadId]);
    assert.deepEqual(
      held.map(({ uploadId, requestNumber, whole }) => [uploadId, requestNumber, whole]),
      [
        ["1", 7n, true],
        ["2", 7n, false],
        ["4", 7n, true],
        ["5", 7n, false],
      ],
    );
  });

  it("is what is known here where nobody answers, and nobody waits for long", async () => {
    const startedAtMs = performance.now();
    let asked = 0;
    const refusing = await heldFiles(files, async () => {
      asked++;
      throw new Error("no connection");
    });
    assert.ok(asked < files.length);
    const mute = await heldFiles(files, () => new Promise(() => {}));
    assert.ok(performance.now() - startedAtMs < 5_000);
    for (const held of [refusing, mute]) {
      assert.equal(held.length, files.length);
      assert.deepEqual(
        held.slice(0, 2).map(({ requestNumber, whole }) => [requestNumber, whole]),
        [
          [undefined, true],
          [undefined, false],
        ],
      );
    }
  });
});
