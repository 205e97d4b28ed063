import assert from "node:assert/strict";
import { type HeldFile, heldJson, heldWords } from "./held-report.js";

function held(requestNumber: bigint | undefined, whole = true): HeldFile {
  return { uploadId: "an-id", requestNumber, name: "a.bin", sizeBytes: 5, whole };
}

describe("the words on files that the balancer has when an upload is stopped", () => {
  it("are none where nothing can be stored any more", () => {
    assert.equal(heldWords([]), "");
    assert.equal(heldWords([held(1n, false)]), "");
  });

  it("name files by their numbers, or by their ids", () => {
    const files = [held(1n, false), held(200309n), held(undefined)];
    assert.equal(heldWords(files), "; may still be stored: 200309, an-id; lb-cli status 200309 tells");
  });

  it("name ten, and say how many more there are", () => {
    const files = Array.from({ length: 1_234 }, (_, index) => held(BigInt(index + 1)));
    assert.equal(
      heldWords(files),
      "; may still be stored: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1,224 more; lb-cli status 1 tells",
    );
  });

  it("are an object with a state of its own for scripts", () => {
    const { state, message, requestNumber } = Object(heldJson(held(undefined, false)));
    assert.deepEqual([state, message, requestNumber], ["interrupted", "the balancer has a part of it", null]);
  });
});
