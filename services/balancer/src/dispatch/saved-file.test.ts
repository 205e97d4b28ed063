import assert from "node:assert/strict";
import { DeliverySystem } from "../test-support/delivery-system.js";
import { eventually } from "../test-support/eventually.js";
import type { FakeServer } from "../test-support/fake-server.js";
import { describeFile, RecordingListener, sendFile } from "../test-support/queue-fixtures.js";
import { withTempFolder } from "../test-support/temp-folder.js";
import { savedProblem } from "./saved-file.js";

const saved = { storedName: "1_a.bin", sizeBytes: 5, sha256: new Uint8Array(32) };

describe("what a server says it has stored", () => {
  it("is believed where it can be so", () => {
    assert.equal(savedProblem(saved, {}), undefined);
    assert.equal(savedProblem(saved, { sizeBytes: 5, sha256: new Uint8Array(32) }), undefined);
    const longest = `${2n ** 64n - 1n}_${"a".repeat(200)}~01234567`;
    assert.equal(savedProblem({ ...saved, storedName: longest }, {}), undefined);
  });

  it("is not believed where it cannot", () => {
    const cases = [
      [{ sha256: new Uint8Array(0) }, /a SHA-256 of 0 bytes \(expected 32\)/],
      [{ sha256: new Uint8Array(300_000) }, /a SHA-256 of 300000 bytes/],
      [{ sha256: new Uint8Array(32).fill(1) }, /another SHA-256 than the client/],
      [{ storedName: "ä".repeat(116) }, /a name of 232 bytes \(expected at most 230\)/],
      [{ sizeBytes: 6 }, /6 bytes \(expected 5\)/],
      [{ sizeBytes: 2 ** 64 }, /expected at most 9007199254740991/],
      [
        { textStats: { lettersA: 2 ** 64, characters: 1 } },
        /18446744073709552000 letters a \(expected at most 9007199254740991\)/,
      ],
      [{ textStats: { lettersA: 1, characters: 2 ** 53 } }, /9007199254740992 characters \(expected at most/],
    ] as const;
    for (const [said, problem] of cases) {
      const sent = { sizeBytes: 5, sha256: new Uint8Array(32) };
      assert.match(savedProblem({ ...saved, ...said }, sent) ?? "", problem);
    }
    assert.equal(savedProblem({ ...saved, sizeBytes: 6 }, {}), undefined);
    const most = { lettersA: Number.MAX_SAFE_INTEGER, characters: Number.MAX_SAFE_INTEGER };
    assert.equal(savedProblem({ ...saved, textStats: most }, {}), undefined);
  });

  it("costs it the file where it cannot be so: another server gets it", () =>
    withTempFolder(async (folder) => {
      const system = await DeliverySystem.start(folder);
      const [liar, honest] = system.servers as [FakeServer, FakeServer, FakeServer];
      const { save } = liar;
      liar.save = (header, bytes) => {
        const outcome = save.call(liar, header, bytes);
        if (outcome.kind !== "saved") return outcome;
        return { kind: "saved", saved: { ...outcome.saved, sha256: Buffer.alloc(1_000_000) } };
      };
      for (const server of system.servers) server.draining = server !== liar && server !== honest;
      const listener = new RecordingListener();
      for (let file = 0; file < 5; file++) sendFile(system.queue, describeFile(), listener);
      try {
        await eventually("all files are stored", () => system.queue.counts().storedFiles === 5);
      } finally {
        await system.stop();
      }
      const servers = listener.news.map((news) => news.kind === "stored" && news.receipt.server);
      assert.deepEqual(servers, Array(5).fill(honest.name));
    }));
});
