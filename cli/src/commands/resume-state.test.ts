import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { tempFolder } from "../testing/temp-folder.js";
import { defaultStateFile, type ResumeKey, ResumeState } from "./resume-state.js";

const key: ResumeKey = {
  balancer: "127.0.0.1:50051",
  path: "/a/b",
  sizeBytes: 5,
  mtimeMs: 1.5,
  kind: "binary",
  ack: "stored",
};

describe("the state of uploads that can be resumed", () => {
  let folder: Awaited<ReturnType<typeof tempFolder>>;
  let warnings: string[];
  beforeEach(async () => {
    folder = await tempFolder();
    warnings = [];
  });
  afterEach(() => folder.remove());
  const open = (nowMs = 0, name = "in/state.json") =>
    ResumeState.open(path.join(folder.path, name), nowMs, (text) => warnings.push(text));

  it("remembers ids over runs, each for its own key, and forgets those with an answer", async () => {
    const first = await open();
    const identity = first.identify(key, 0);
    const other = first.identify({ ...key, mtimeMs: 2 }, 0);
    assert.equal(identity.known, false);
    assert.notEqual(other.uploadId, identity.uploadId);
    await first.save();
    const second = await open();
    assert.deepEqual(second.identify(key, 0), { uploadId: identity.uploadId, known: true });
    for (const changed of [
      { balancer: "h:1" },
      { path: "/a/c" },
      { sizeBytes: 6 },
      { kind: "text" },
      { ack: "queued" },
    ])
      assert.equal(second.identify({ ...key, ...changed } as ResumeKey, 0).known, false);
    second.forget(identity.uploadId);
    await second.save();
    const third = await open();
    assert.equal(third.identify(key, 0).known, false);
    assert.equal(third.identify({ ...key, mtimeMs: 2 }, 0).known, true);
    assert.deepEqual(await readdir(path.join(folder.path, "in")), ["state.json"]);
    assert.deepEqual(warnings, []);
  });

  it("does not use what is too old", async () => {
    const first = await open();
    first.identify(key, 0);
    await first.save();
    assert.equal((await open(15 * 24 * 3600 * 1000)).identify(key, 0).known, false);
  });

  for (const content of [
    "",
    "{",
    "null",
    "[]",
    '{"version":2,"uploads":[]}',
    '{"version":1,"uploads":[{"path":"/a"}]}',
  ]) {
    it(`warns of a file that holds ${JSON.stringify(content)}, and starts anew`, async () => {
      await writeFile(path.join(folder.path, "state.json"), content);
      const state = await open(0, "state.json");
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] ?? "", /^cannot use the state file '.*state\.json' \(.+\); starting anew/);
      assert.equal(state.identify(key, 0).known, false);
      await state.save();
      assert.equal(JSON.parse(await readFile(path.join(folder.path, "state.json"), "utf8")).uploads.length, 1);
    });
  }

  it("warns when it cannot be written, and leaves nothing behind", async () => {
    await writeFile(path.join(folder.path, "file"), "");
    const state = await open(0, "file/state.json");
    state.identify(key, 0);
    await state.save();
    assert.match(warnings.at(-1) ?? "", /^cannot write the state file/);
    assert.deepEqual(await readdir(folder.path), ["file"]);
  });

  it("is in the user's state folder", () => {
    assert.equal(defaultStateFile({ XDG_STATE_HOME: "/s" }), "/s/bilancia/.lb-cli-resume.json");
    assert.match(defaultStateFile({ XDG_STATE_HOME: "s" }), /\.local\/state\/bilancia\/\.lb-cli-resume\.json$/);
  });
});
