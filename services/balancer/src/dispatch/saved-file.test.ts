import assert from "node:assert/strict";
import path from "node:path";
import { fileNameProblem } from "@bilancia/proto/file-name";
import { eventually } from "@bilancia/proto/testing/eventually";
import fc from "fast-check";
import { DeliverySystem } from "../test-support/delivery-system.js";
import type { FakeServer } from "../test-support/fake-server.js";
import { describeFile, RecordingListener, sendFile } from "../test-support/queue-fixtures.js";
import { withTempFolder } from "../test-support/temp-folder.js";
import { earlyProblem, savedProblem } from "./saved-file.js";

const saved = { storedName: "1_a.bin", sizeBytes: 5, sha256: new Uint8Array(32) };

describe("what a server says it has stored", () => {
  it("is believed where it can be so", () => {
    assert.equal(savedProblem(saved, {}), undefined);
    assert.equal(savedProblem(saved, { sizeBytes: 5, sha256: new Uint8Array(32) }), undefined);
    const longest = `${2n ** 64n - 1n}_${"a".repeat(200)}~01234567`;
    for (const storedName of [
      longest,
      `7_${"ä".repeat(100)}`,
      "7_.a",
      "7_-",
      "7_con",
      "7_a.tar~0123abcd.gz",
      "7_\u0301",
    ])
      assert.equal(savedProblem({ ...saved, storedName }, {}), undefined);
    assert.equal(savedProblem(saved, { receivedBytes: 5 }), undefined);
  });

  it("is believed of every name that a file may be stored under", () => {
    // As in a folder, of names that a client may give: the request number before it, and where that is taken the origin in it.
    const name = fc.string({ unit: "binary", minLength: 1, maxLength: 70 }).map((text) => text.normalize("NFC"));
    fc.assert(
      fc.property(name, fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), (text, number) => {
        fc.pre(fileNameProblem(text) === undefined);
        const { name: stem, ext } = path.parse(`${number}_${text}`);
        for (const storedName of [`${stem}${ext}`, `${stem}~0123abcd${ext}`])
          assert.equal(savedProblem({ ...saved, storedName }, {}), undefined);
      }),
      { numRuns: 200 },
    );
  });

  it("is not believed where it cannot", () => {
    const cases = [
      [{ sha256: new Uint8Array(0) }, /a SHA-256 of 0 bytes \(expected 32\)/],
      [{ sha256: new Uint8Array(300_000) }, /a SHA-256 of 300000 bytes/],
      [{ sha256: new Uint8Array(32).fill(1) }, /another SHA-256 than the client/],
      [{ storedName: "ä".repeat(116) }, /a name of 232 bytes \(expected at most 230\)/],
      [{ storedName: "" }, /a name that no file may have \(the name is empty; expected 1 to 230 bytes of UTF-8\)/],
      [{ storedName: "../7_a" }, /a name that no file may have \(.* contains a path separator/],
      [{ storedName: "7_\u001b[2Ja" }, /a name that no file may have \(.* contains a control character/],
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
    assert.match(savedProblem(saved, { receivedBytes: 6 }) ?? "", /^5 bytes \(expected at least 6\)$/);
    const most = { lettersA: Number.MAX_SAFE_INTEGER, characters: Number.MAX_SAFE_INTEGER };
    assert.equal(savedProblem({ ...saved, textStats: most }, {}), undefined);
  });

  it("is believed before the file's end was sent only where it is a duplicate", () => {
    const said = (duplicate: boolean, early: boolean) => {
      const value = { ...saved, sizeBytes: 5n, duplicate, textStats: undefined };
      return earlyProblem({ kind: "saved", saved: value, early });
    };
    assert.match(said(false, true) ?? "", /^no duplicate \(expected one, before the end of the file was sent\)$/);
    assert.deepEqual([said(true, true), said(false, false), said(true, false)], [undefined, undefined, undefined]);
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
