import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { lstat, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GetStatusResponse } from "@bilancia/proto/gen/admin";
import { closedAddress } from "./testing/closed-address.js";
import { startFakeAdmin } from "./testing/fake-admin.js";
import { FakeDeadLetters } from "./testing/fake-dead-letters.js";
import { type CliRun, runCli } from "./testing/run-cli.js";
import { tempFolder } from "./testing/temp-folder.js";

describe("lb-cli dead-letters", () => {
  const fake = new FakeDeadLetters();
  const bytes = randomBytes(2_500);
  const sha256 = createHash("sha256").update(bytes).digest();
  let admin: Awaited<ReturnType<typeof startFakeAdmin>>;
  let folder: Awaited<ReturnType<typeof tempFolder>>;
  before(async () => {
    admin = await startFakeAdmin([], GetStatusResponse.fromPartial({}), fake);
  });
  after(() => admin.stop());
  beforeEach(async () => {
    fake.reset();
    fake.add(3n, "three.bin", bytes, sha256);
    fake.add(5n, "five.bin", Buffer.alloc(0));
    fake.add(9n, "nine.bin", Buffer.from("nine"));
    folder = await tempFolder({ "there.bin": "mine" });
  });
  afterEach(() => folder.remove());

  const run = (...args: string[]): Promise<CliRun> =>
    runCli(["dead-letters", ...args], { cwd: folder.path, env: { BILANCIA_ADMIN: admin.address } });
  const jsonLines = ({ stdout }: CliRun) =>
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const fileOf = (name: string) => readFile(join(folder.path, name));

  it("list shows them all, over several pages, as a table and as JSON", async () => {
    const table = await run("list");
    assert.equal(table.code, 0, table.stderr);
    assert.match(table.stdout, /^request +name +size +given up +attempts +why +message\n/);
    assert.match(table.stdout, / 3 +three\.bin +2\.4 KiB .* ago +10 +ATTEMPTS_EXHAUSTED +not delivered after 10/);
    assert.equal(table.stdout.trim().split("\n").length, 4);
    const json = await run("list", "--json");
    assert.deepEqual(
      jsonLines(json).map(({ requestNumber }) => requestNumber),
      [3, 5, 9],
    );
    assert.equal(jsonLines(json)[0]?.sha256, sha256.toString("hex"));
    assert.equal(json.stderr, "");
  });

  it("list --limit stops there and says that there are more", async () => {
    const { code, stdout, stderr } = await run("list", "--json", "--limit", "2");
    assert.equal(code, 0);
    assert.equal(stdout.trim().split("\n").length, 2);
    assert.equal(stderr, "there are more than 2 dead letters; see --limit\n");
  });

  it("list says when there are none", async () => {
    fake.letters.clear();
    assert.equal((await run("list")).stdout, "there are no dead letters\n");
    assert.equal((await run("list", "--json")).stdout, "");
  });

  it("show tells everything of one", async () => {
    const { code, stdout } = await run("show", "3");
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^request +3\n[\s\S]*\nwhy +ATTEMPTS_EXHAUSTED: not[\s\S]*\nattempt 10 +storage-1, refused: disk/,
    );
    assert.equal(jsonLines(await run("show", "9", "--json"))[0]?.name, "nine.bin");
    const unknown = await run("show", "4");
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /no upload has the number 4/);
  });

  it("retry takes numbers, goes on after one that is refused, and exits with 1 then", async () => {
    const { code, stdout, stderr } = await run("retry", "3", "4", "9");
    assert.equal(code, 1);
    assert.equal(stdout, "retried 3\nretried 9\n");
    assert.match(stderr, /^error: 4: UNKNOWN_UPLOAD: no upload has the number 4\n$/);
    assert.deepEqual(fake.done, ["retry 3", "retry 9"]);
  });

  it("retry --all takes every page", async () => {
    const result = await run("retry", "--all", "--json");
    assert.equal(result.code, 0, result.stderr);
    assert.deepEqual(jsonLines(result)[0], { requestNumber: 3, result: "retried" });
    assert.deepEqual(fake.done, ["retry 3", "retry 5", "retry 9"]);
  });

  it("discard does nothing without a terminal and without --yes", async () => {
    const { code, stderr } = await run("discard", "3");
    assert.equal(code, 2);
    assert.match(stderr, /--yes: expected/);
    assert.deepEqual(fake.done, []);
    const agreed = await run("discard", "3", "5", "--yes");
    assert.equal(agreed.code, 0, agreed.stderr);
    assert.deepEqual(fake.done, ["discard 3", "discard 5"]);
  });

  it("export writes a file of the upload's name, one that is named, or standard output", async () => {
    const own = await run("export", "3");
    assert.equal(own.code, 0, own.stderr);
    assert.equal(own.stdout, "exported 3 to three.bin, 2.4 KiB\n");
    assert.ok((await fileOf("three.bin")).equals(bytes));
    assert.equal((await run("export", "5", "-o", "empty")).code, 0);
    assert.equal((await fileOf("empty")).length, 0);
    const piped = await run("export", "9", "-o", "-");
    assert.deepEqual([piped.code, piped.stdout, piped.stderr], [0, "nine", ""]);
    assert.deepEqual((await readdir(folder.path)).sort(), ["empty", "there.bin", "three.bin"]);
    assert.equal(fake.letters.size, 3);
  });

  it("export keeps to its folder, whatever the name", async () => {
    fake.add(11n, "../../outside.bin", Buffer.from("x"));
    assert.equal((await run("export", "11")).code, 0);
    assert.equal(String(await fileOf("outside.bin")), "x");
  });

  it("export replaces a file only with --force", async () => {
    const { code, stderr } = await run("export", "3", "-o", "there.bin");
    assert.equal(code, 2);
    assert.match(stderr, /--output: 'there\.bin' exists already; expected a new file, or --force/);
    assert.equal(String(await fileOf("there.bin")), "mine");
    await writeFile(join(folder.path, "nine.bin"), "mine");
    assert.equal((await run("export", "9")).code, 2);
    assert.equal((await run("export", "3", "-o", "there.bin", "--force")).code, 0);
    assert.ok((await fileOf("there.bin")).equals(bytes));
  });

  it("export follows a symbolic link, also one that leads to nothing yet, and leaves the link", async () => {
    const there = join(folder.path, "link");
    await symlink("there.bin", there);
    assert.equal((await run("export", "3", "-o", "link")).code, 2);
    assert.equal((await run("export", "3", "-o", "link", "--force")).code, 0);
    assert.ok((await fileOf("there.bin")).equals(bytes));
    await symlink("new.bin", join(folder.path, "dangling"));
    assert.equal((await run("export", "9", "-o", "dangling")).code, 0);
    assert.equal(String(await fileOf("new.bin")), "nine");
    assert.ok((await lstat(there)).isSymbolicLink());
    assert.deepEqual((await readdir(folder.path)).sort(), ["dangling", "link", "new.bin", "there.bin"]);
  });

  it("export --force writes into a pipe, which stays one", async () => {
    const pipe = join(folder.path, "pipe");
    execFileSync("mkfifo", [pipe]);
    const refused = await run("export", "3", "-o", "pipe");
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /--output: 'pipe' exists already; expected a new file, or --force to write there/);
    const reading = readFile(pipe);
    const { code, stderr } = await run("export", "3", "-o", "pipe", "--force");
    assert.equal(code, 0, stderr);
    assert.ok((await reading).equals(bytes));
    assert.ok((await lstat(pipe)).isFIFO());
    assert.deepEqual((await readdir(folder.path)).sort(), ["pipe", "there.bin"]);
  });

  const faults: readonly (readonly [string, FakeDeadLetters["spoil"], RegExp])[] = [
    ["a damaged chunk", (message) => withChunk(message, (chunk) => ({ ...chunk, crc32c: 1 })), /CRC-32C of the chunk/],
    [
      "a gap",
      (message) => withChunk(message, (chunk) => ({ ...chunk, offset: 7n })),
      /a chunk begins at 7; expected 0/,
    ],
    ["a wrong length", (message) => withLetter(message, { sizeBytes: 9n }), /2500 bytes came; expected 9/],
    [
      "a wrong digest",
      (message) => withLetter(message, { sha256: new Uint8Array(32) }),
      /SHA-256 is .*; expected 0000/,
    ],
  ];
  for (const [what, spoil, words] of faults) {
    it(`export leaves nothing behind and exits with 1 for ${what}`, async () => {
      fake.spoil = spoil;
      const { code, stdout, stderr } = await run("export", "3");
      assert.equal(code, 1);
      assert.equal(stdout, "");
      assert.match(stderr, words);
      assert.deepEqual(await readdir(folder.path), ["there.bin"]);
    });
  }

  it("exits with 3 when nothing answers", async () => {
    const address = await closedAddress();
    for (const args of [["list"], ["show", "3"], ["retry", "3"], ["discard", "3", "--yes"], ["export", "3"]]) {
      const { code, stderr } = await run(...args, "--admin", address, "--connect-timeout", "0.2");
      assert.equal(code, 3, stderr);
      assert.ok(stderr.includes(address), stderr);
    }
  });

  for (const [what, args, words] of [
    ["a bad number", ["show", "x"], /number.* expected a request number from 1; got 'x'/],
    ["number 0", ["retry", "0"], /expected a request number from 1; got '0'/],
    ["no number", ["retry"], /expected request numbers of dead letters, or --all; got neither/],
    ["numbers and --all", ["discard", "3", "--all", "--yes"], /or --all; got both/],
    ["a bad limit", ["list", "--limit", "0"], /--limit.* expected a whole number from 1/],
    [
      "a folder that is not there",
      ["export", "3", "-o", "no/x"],
      /--output: cannot write 'no\/x': no such file or folder/,
    ],
    [
      "a folder for a file",
      ["export", "3", "-o", ".", "-f"],
      /--output: '\.' is a folder; expected the name of a file/,
    ],
  ] as const) {
    it(`exits with 2 and one clear line for ${what}`, async () => {
      const { code, stdout, stderr } = await run(...args);
      assert.equal(code, 2, stderr);
      assert.match(stderr, words);
      assert.equal(stdout, "");
      assert.deepEqual(fake.done, []);
    });
  }

  it("shows help with examples for every command", async () => {
    for (const args of [[], ["list"], ["show"], ["retry"], ["discard"], ["export"]]) {
      const { code, stdout } = await run(...args, "--help");
      assert.equal(code, 0);
      assert.match(stdout, /Examples:\n {2}\$ lb-cli dead-letters /);
    }
  });
});

type Message = Parameters<FakeDeadLetters["spoil"]>[0];
type Part<Case> = Extract<NonNullable<Message["part"]>, { $case: Case }>["value"];

function withChunk(message: Message, change: (chunk: Part<"chunk">) => Part<"chunk">): Message {
  const { part } = message;
  return part?.$case === "chunk" ? { part: { $case: "chunk", value: change(part.value) } } : message;
}

function withLetter(message: Message, change: Partial<Part<"deadLetter">>): Message {
  const { part } = message;
  return part?.$case === "deadLetter"
    ? { part: { $case: "deadLetter", value: { ...part.value, ...change } } }
    : message;
}
