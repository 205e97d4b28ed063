import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstat, readdir, readFile, symlink, writeFile } from "node:fs/promises";
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
    it(`warns of a file that holds ${JSON.stringify(content)}, and moves it aside`, async () => {
      await writeFile(path.join(folder.path, "state.json"), content);
      const state = await open(7, "state.json");
      assert.equal(warnings.length, 1);
      assert.match(
        warnings[0] ?? "",
        /^cannot use the state file '.*state\.json' \(.+\), so it is now '.*state\.json\.damaged-7'; starting anew/,
      );
      assert.equal(state.identify(key, 0).known, false);
      await state.save();
      assert.equal(JSON.parse(await readFile(path.join(folder.path, "state.json"), "utf8")).uploads.length, 1);
      assert.equal(await readFile(path.join(folder.path, "state.json.damaged-7"), "utf8"), content);
    });
  }

  it("is written where symbolic links lead, also to a file that is not there yet", async () => {
    await symlink("real.json", path.join(folder.path, "link.json"));
    for (const known of [false, true]) {
      const state = await open(0, "link.json");
      assert.equal(state.identify(key, 0).known, known);
      state.identify({ ...key, mtimeMs: known ? 2 : 3 }, 0);
      await state.save();
    }
    assert.ok((await lstat(path.join(folder.path, "link.json"))).isSymbolicLink());
    assert.ok((await lstat(path.join(folder.path, "real.json"))).isFile());
    assert.deepEqual(warnings, []);
  });

  it("refuses a folder, and what is no regular file", async () => {
    execFileSync("mkfifo", [path.join(folder.path, "pipe")]);
    await symlink("pipe", path.join(folder.path, "link"));
    const expected = "; expected a state file, or a name that is free";
    for (const [name, what] of [
      [".", "a folder"],
      ["pipe", "no regular file"],
      ["link", "no regular file"],
    ] as const)
      await assert.rejects(open(0, name), {
        message: `--state-file: '${path.join(folder.path, name)}' is ${what}${expected}`,
      });
    assert.ok((await lstat(path.join(folder.path, "pipe"))).isFIFO());
  });

  it("leaves a file alone that it can neither read nor move", async () => {
    await symlink("loop", path.join(folder.path, "loop"));
    const state = await open(0, "loop");
    assert.match(
      warnings[0] ?? "",
      /^cannot read the state file '.*' \(too many symbolic links\); this upload cannot be/,
    );
    state.identify(key, 0);
    await state.save();
    assert.deepEqual([(await readdir(folder.path)).length, warnings.length], [1, 1]);
  });

  it("warns when it cannot be written, and leaves nothing behind", async () => {
    const state = await open(0, "file/state.json");
    await writeFile(path.join(folder.path, "file"), "");
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
