import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync } from "node:fs";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type GetStatusResponse, ServerHealth, ServerState } from "@bilancia/proto/gen/admin";
import { Priority, RejectReason } from "@bilancia/proto/gen/balancer";
import { cannotTest } from "@bilancia/proto/testing/cannot-test";
import { closedAddress } from "./testing/closed-address.js";
import { startFakeAdmin } from "./testing/fake-admin.js";
import { FakeBalancer } from "./testing/fake-balancer.js";
import { type CliInput, type CliRun, launcher, runCli } from "./testing/run-cli.js";
import { tempFolder } from "./testing/temp-folder.js";

const document = (title: string) => JSON.stringify({ title, content: "A banana and a pear." });

const status: GetStatusResponse = {
  version: "9.9.9",
  startedAt: { seconds: 1_800_000_000n, nanos: 0 },
  origin: "0".repeat(32),
  term: 3n,
  queue: "memory",
  receivingFiles: 0n,
  queuedFiles: 2n,
  dispatchingFiles: 1n,
  queuedBytes: 2048n,
  storedFiles: 2n ** 60n,
  storedBytes: 12n,
  rejectedFiles: 0n,
  uploadStreams: 1,
  lastRequestNumber: 15n,
  availableServers: 1,
  servers: 1,
  memoryBytes: 1_000_000n,
  config: {
    file: "/etc/bilancia.yaml",
    loadedAt: { seconds: 1_800_000_000n, nanos: 0 },
    needRestart: ["listen: here, before there"],
    refusedAt: { seconds: 1_800_000_001n, nanos: 0 },
    problems: ["graceMs: expected a number"],
  },
};

const server = {
  name: "storage-1",
  address: "127.0.0.1:50061",
  weight: 5,
  available: false,
  health: ServerHealth.SERVER_HEALTH_HEALTHY,
  healthSince: { seconds: 1_700_000_000n, nanos: 0 },
  healthReason: "answers SERVING",
  overloaded: true,
  full: false,
  inFlightFiles: 1,
  inFlightBytes: 2n,
  storedFiles: 3n,
  storedBytes: 4n,
  failedAttempts: 5n,
  load: undefined,
  state: ServerState.SERVER_STATE_OVERLOADED,
  stateSince: { seconds: 1_700_000_100n, nanos: 0 },
  stateReason: "memory",
  unsettledFiles: 0,
  effectiveWeight: 5,
  leaseUntil: undefined,
};

describe("lb-cli", () => {
  const balancer = new FakeBalancer();
  let admin: Awaited<ReturnType<typeof startFakeAdmin>>;
  let folder: Awaited<ReturnType<typeof tempFolder>>;
  before(async () => {
    await balancer.start();
    admin = await startFakeAdmin([server], status);
  });
  after(() => {
    balancer.stop();
    admin.stop();
  });
  beforeEach(async () => {
    balancer.uploads.clear();
    for (const key of Object.keys(balancer.behaviour)) Reflect.deleteProperty(balancer.behaviour, key);
    folder = await tempFolder({
      "a.json": document("a"),
      "b.json": document("b"),
      "c.bin": randomBytes(100),
      ".hidden": "",
    });
  });
  afterEach(() => folder.remove());

  function run(args: readonly string[], input: CliInput = {}): Promise<CliRun> {
    const env = { BILANCIA_BALANCER: balancer.address, BILANCIA_ADMIN: admin.address, ...input.env };
    return runCli(args, { cwd: folder.path, ...input, env });
  }
  const jsonLines = ({ stdout }: CliRun) =>
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  it("ftp sends files drawn from the folder and shows them in a table", async () => {
    const { code, stdout, stderr } = await run(["ftp", "--count", "5", "--dir", "."]);
    assert.equal(code, 0, stderr);
    const lines = stdout.trimEnd().split("\n");
    assert.match(lines[0] ?? "", /^request +name +size +server +stored name +attempts +letters a +time$/);
    assert.equal(lines.length, 1 + 5 + 2);
    assert.match(lines.at(-1) ?? "", /^5 stored; .*; storage-1 5$/);
    assert.match(stderr, /^sending 5 files/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape codes are what must not be there
    assert.doesNotMatch(stdout + stderr, /\u001b/);
  });

  it("ftp --json prints one object per file; a seed repeats the draw; --no-repeat draws each file once", async () => {
    const once = await run(["ftp", "-c", "3", "--dir", ".", "--no-repeat", "--json"]);
    assert.equal(once.stderr, "");
    assert.deepEqual(
      jsonLines(once)
        .map(({ name }) => name)
        .sort(),
      ["a.json", "b.json", "c.bin"],
    );
    const [first] = jsonLines(once);
    for (const key of ["requestNumber", "uploadId", "sizeBytes", "server", "storedName", "sha256", "attempts", "state"])
      assert.ok(first && key in first, key);
    const names = async () =>
      jsonLines(await run(["--json", "ftp", "-c", "8", "--dir", ".", "--seed", "7"]))
        .map(({ requestNumber, name }) => [Number(requestNumber), name] as const)
        .sort(([a], [b]) => a - b)
        .map(([, name]) => name);
    balancer.uploads.clear();
    const drawn = await names();
    balancer.uploads.clear();
    assert.deepEqual(await names(), drawn);
  });

  it("exits with 1 and the reason when a file is rejected", async () => {
    balancer.behaviour.onFinish = ({ header }) =>
      header.name === "b.json"
        ? {
            $case: "rejected",
            value: {
              reason: RejectReason.REJECT_REASON_NOT_A_TEXT_DOCUMENT,
              message: "it has no title",
              retryable: false,
              retryAfter: undefined,
            },
          }
        : undefined;
    const { code, stdout, stderr } = await run(["upload", "a.json", "b.json"]);
    assert.equal(code, 1);
    assert.match(stdout, /1 stored, 1 rejected/);
    assert.match(stderr, /error: b\.json: rejected \(NOT_A_TEXT_DOCUMENT\): it has no title/);
    const json = jsonLines(await run(["upload", "b.json", "--json"]));
    assert.equal(json[0]?.state, "rejected");
    assert.equal(json[0]?.reason, "NOT_A_TEXT_DOCUMENT");
  });

  it("upload sends folders with -r, and standard input under its name", async () => {
    await mkdir(join(folder.path, "inner"));
    await writeFile(join(folder.path, "inner", "d.txt"), "d");
    const input = randomBytes(300_000);
    const result = await run(["upload", "-r", ".", "-", "--name", "from-pipe", "--json"], { stdin: input });
    assert.equal(result.code, 0, result.stderr);
    assert.deepEqual(
      jsonLines(result)
        .map(({ name }) => name)
        .sort(),
      ["a.json", "b.json", "c.bin", "d.txt", "from-pipe"],
    );
    const held = [...balancer.uploads.values()].find(({ header }) => header.name === "from-pipe");
    assert.ok(held?.bytes.equals(input));
  });

  it("upload -r and ftp tell of a dangling link, a pipe and a name that is not UTF-8: nothing is left out silently", async () => {
    const mixed = join(folder.path, "mixed");
    await mkdir(mixed);
    await writeFile(join(mixed, "good.txt"), "good");
    await symlink("nowhere", join(mixed, "dangling.txt"));
    execFileSync("mkfifo", [join(mixed, "pipe.json")]);
    await writeFile(Buffer.concat([Buffer.from(`${mixed}/`), Buffer.from("caf\xe9.txt", "latin1")]), "x");
    for (const args of [
      ["upload", "-r", "mixed"],
      ["ftp", "--dir", "mixed", "-c", "4", "--no-repeat"],
    ]) {
      const { code, stdout, stderr } = await run(args);
      assert.equal(code, 1, stderr);
      assert.match(stdout, /1 stored, 3 failed/);
      assert.match(stderr, /dangling\.txt: .*no such file or folder/);
      assert.match(stderr, /pipe\.json: .*it is no regular file/);
      assert.match(stderr, /caf\ufffd\.txt: .*its name is not UTF-8/);
    }
  });

  it("upload --resume goes on under the same id after it was killed, and sends only the rest", async () => {
    const bytes = randomBytes(3_000_000);
    await writeFile(join(folder.path, "big.bin"), bytes);
    const args = ["upload", "big.bin", "--resume", "--json"];
    const env = { XDG_STATE_HOME: join(folder.path, "state") };
    let pid: number | undefined;
    balancer.behaviour.cut = ({ bytes: held }) => {
      if (held.length < 1_000_000 || pid === undefined) return false;
      process.kill(pid, "SIGKILL");
      return true;
    };
    // Without --json, which says nothing on the side.
    const killed = await run(args.slice(0, -1), {
      env,
      onStderr: (child) => {
        pid = child;
      },
    });
    assert.equal(killed.code, null);
    balancer.behaviour.cut = () => false;
    const [held] = balancer.uploads.values();
    const heldBytes = held?.bytes.length ?? 0;
    assert.ok(heldBytes >= 1_000_000 && heldBytes < bytes.length);
    const before = balancer.receivedBytes;
    const again = await run(args, { env });
    assert.equal(again.code, 0, again.stderr);
    assert.equal(jsonLines(again)[0]?.uploadId, held?.header.uploadId);
    assert.ok(held?.bytes.equals(bytes));
    assert.equal(balancer.receivedBytes - before, bytes.length - heldBytes);
    const state = join(folder.path, "state", "bilancia", ".lb-cli-resume.json");
    assert.deepEqual(JSON.parse(await readFile(state, "utf8")).uploads, []);
  });

  it("upload --state-file warns of a damaged file, moves it aside and starts anew", async () => {
    await writeFile(join(folder.path, "s.json"), "{");
    const { code, stderr } = await run(["upload", "a.json", "--state-file", "s.json", "--json"]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^warning: cannot use the state file 's\.json' \(it is no JSON\), so it is now '[^\n]*\n$/);
  });

  it("upload takes a document for text only if it is one", async () => {
    await writeFile(join(folder.path, "no.json"), "[1]");
    await run(["upload", "a.json", "no.json"]);
    const kinds = Object.fromEntries([...balancer.uploads.values()].map(({ header }) => [header.name, header.kind]));
    assert.deepEqual(kinds, { "a.json": 1, "no.json": 2 });
  });

  it("--ack queued is content with 'queued'", async () => {
    const result = await run(["upload", "a.json", "--ack", "queued", "--json"]);
    assert.equal(result.code, 0, result.stderr);
    assert.deepEqual(jsonLines(result)[0]?.state, "queued");
  });

  it("--priority tells the balancer how urgent each file is, by its name", async () => {
    const priorities = async (...args: string[]) => {
      balancer.uploads.clear();
      const { code, stderr } = await run(args);
      assert.equal(code, 0, stderr);
      return Object.fromEntries([...balancer.uploads.values()].map(({ header }) => [header.name, header.priority]));
    };
    const { PRIORITY_UNSPECIFIED: unspecified, PRIORITY_LOW: low, PRIORITY_HIGH: high } = Priority;
    const files = ["a.json", "b.json", "c.bin"];
    assert.deepEqual(await priorities("upload", ...files), {
      ...{ "a.json": unspecified, "b.json": unspecified, "c.bin": unspecified },
    });
    const chosen = ["low", "?.json=high", "b.*=normal"].flatMap((level) => ["--priority", level]);
    const expected = { "a.json": high, "b.json": unspecified, "c.bin": low };
    assert.deepEqual(await priorities("upload", ...files, ...chosen), expected);
    assert.deepEqual(await priorities("ftp", "-c", "3", "--no-repeat", "--dir", ".", ...chosen), expected);
    assert.match((await run(["status", "1"])).stdout, /\npriority +(high|low|-)\n/);
  });

  it("servers and status show what the balancer says, as text and as JSON", async () => {
    const table = await run(["servers"]);
    assert.equal(table.code, 0, table.stderr);
    assert.match(table.stdout, /storage-1 +127\.0\.0\.1:50061 +5 +overloaded .* yes .* memory/);
    assert.equal(jsonLines(await run(["servers", "--json"]))[0]?.state, "overloaded");
    const text = await run(["status"]);
    assert.match(text.stdout, /version +9\.9\.9\n[\s\S]*servers +1 of 1 available\n/);
    assert.match(
      text.stdout,
      /configuration +\/etc\/bilancia\.yaml, read .* ago\nneeds restart +listen: here, before there\n/,
    );
    assert.match(text.stdout, /not usable +graceMs: expected a number \(.* ago\)/);
    assert.equal(jsonLines(await run(["status", "--json"]))[0]?.storedFiles, "1152921504606846976");
  });

  it("status finds one upload by both names, and says when there is none", async () => {
    const [sent] = jsonLines(await run(["upload", "a.json", "--json"]));
    const byNumber = await run(["status", "1"]);
    assert.match(byNumber.stdout, /name +a\.json\nstate +stored\nsize +.*\narrived +\d+ B\n/);
    // The balancer says what it has taken; it may have let go of it since, as of what is stored or discarded.
    assert.doesNotMatch(byNumber.stdout, /held/);
    const byId = jsonLines(await run(["status", String(sent?.uploadId), "--json"]));
    assert.equal(byId[0]?.storedName, "1_a.json");
    const unknown = await run(["status", "99"]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /^error: the balancer knows no upload with the request number 99\n$/);
  });

  it("exits with 3 and the address when nothing answers", async () => {
    const balancerAddress = await closedAddress();
    const adminAddress = await closedAddress();
    const dead = ["--balancer", balancerAddress, "--admin", adminAddress, "--connect-timeout", "0.2"];
    const send = await run([...dead, "ftp", "-c", "1", "--dir", "."]);
    assert.equal(send.code, 3);
    assert.ok(
      send.stderr.includes(`error: cannot reach the balancer at ${balancerAddress}: no connection within 0.2 s`),
      send.stderr,
    );
    for (const [args, address] of [
      [["servers"], adminAddress],
      [["status"], adminAddress],
      [["status", "1"], balancerAddress],
    ] as const) {
      const { code, stderr } = await run([...dead, ...args]);
      assert.equal(code, 3, stderr);
      assert.ok(stderr.includes(address), stderr);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    }
  });

  it("exits with 1 and the words of a balancer that ends the stream", async () => {
    balancer.behaviour.endWith = { code: 3, details: "chunk over the limit" };
    const { code, stderr } = await run(["upload", "a.json"]);
    assert.equal(code, 1);
    assert.match(stderr, /chunk over the limit \(INVALID_ARGUMENT\)/);
  });

  const wrong: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      "a missing folder",
      ["ftp", "-c", "1", "--dir", "nowhere"],
      /--dir: the folder 'nowhere' does not exist; expected/,
    ],
    ["the missing default folder", ["ftp", "-c", "1"], /--dir: the folder 'file' does not exist/],
    [
      "an empty folder",
      ["ftp", "-c", "1", "--dir", "empty"],
      /--dir: the folder 'empty' is empty; expected at least one/,
    ],
    ["a file in place of a folder", ["ftp", "-c", "1", "--dir", "a.json"], /'a\.json' is not a folder/],
    ["count 0", ["ftp", "--count", "0"], /--count.* expected a whole number from 1 to \d+; got '0'/],
    ["a count that is no number", ["ftp", "--count", "many"], /--count.* expected a whole number .*; got 'many'/],
    ["no count", ["ftp"], /--count <number>' not specified/],
    ["more than there is", ["ftp", "-c", "9", "--dir", ".", "--no-repeat"], /--count: .* at most 3, .*; got 9/],
    ["an unknown stage", ["ftp", "-c", "1", "--ack", "never"], /--ack.*'never'.*stored, queued/],
    [
      "an unknown priority",
      ["ftp", "-c", "1", "--priority", "urgent"],
      /--priority.* expected low, normal or high, or PATTERN=LEVEL, .*; got 'urgent'/,
    ],
    [
      "a priority for no name",
      ["upload", "a.json", "--priority", "=low"],
      /--priority.* expected low, normal or high, or PATTERN=LEVEL, .*; got '=low'/,
    ],
    ["an unknown command", ["fpt"], /unknown command 'fpt'; expected ftp, upload/],
    ["help for an unknown command", ["help", "nope"], /unknown command 'nope'; expected ftp, upload/],
    ["an unknown option", ["ftp", "-c", "1", "--cuont", "1"], /unknown option '--cuont'/],
    [
      "no time to connect",
      ["servers", "--connect-timeout", "0"],
      /--connect-timeout.* expected seconds from 0\.1 to 86400; got '0'/,
    ],
    ["a bad address", ["servers", "--admin", "localhost"], /--admin.*expected host:port.*got 'localhost'/],
    ["a weight of 0", ["servers", "set-weight", "a", "0"], /expected a whole number from 1 to 256; got '0'/],
    ["a weight over the limit", ["servers", "add", "a", "h:1", "--weight", "257"], /from 1 to 256; got '257'/],
    ["a server without an address", ["servers", "add", "a"], /missing required argument 'address'/],
    ["a server's bad address", ["servers", "add", "a", "h"], /expected host:port, .*; got 'h'/],
    [
      "an unknown command for servers",
      ["servers", "drian", "a"],
      /unknown command 'drian'; expected add, set-weight, drain, enable, remove or no word\n/,
    ],
    ["a word for servers that is no command", ["servers", "list"], /error: unknown command 'list'; expected add, set-/],
    ["an unknown command for audit", ["audit", "check"], /error: unknown command 'check'; expected verify\n/],
    [
      "an unknown command for dead-letters",
      ["dead-letters", "purge"],
      /error: unknown command 'purge'; expected list, show, retry, discard or export\n/,
    ],
    ["an unknown command for conformance", ["conformance", "x", "a:1"], /unknown command 'x'; expected storage or bal/],
    ["a bad upload name", ["status", "x1"], /UPLOAD: expected a request number .*; got 'x1'/],
    ["a missing path", ["upload", "nothing.txt"], /PATH: cannot read 'nothing\.txt': no such file/],
    ["a folder without -r", ["upload", "empty"], /'empty' is a folder; expected a file, or -r/],
    ["an empty folder with -r", ["upload", "-r", "empty"], /there is no file in 'empty'/],
    ["a name with ../", ["upload", "-", "--name", "../x"], /--name: the name "\.\.\/x" contains a path separator/],
    ["the shell's empty folder", ["shell", "--dir", "empty"], /the folder 'empty' is empty/],
  ];
  for (const [what, args, expected] of wrong) {
    it(`exits with 2 and one clear line for ${what}`, async () => {
      await mkdir(join(folder.path, "empty"));
      const { code, stdout, stderr } = await run(args);
      assert.equal(code, 2, stderr);
      assert.match(stderr, expected);
      assert.doesNotMatch(stderr, /\n +at /);
      assert.equal(stdout, "");
      assert.equal(balancer.uploads.size, 0);
    });
  }

  it("shows help with examples for every command, and its version", async () => {
    const { stdout: all } = await run(["--help"]);
    const [, list = ""] = /^Commands:\n(.*?)\n\n/ms.exec(all) ?? [];
    const names = [...list.matchAll(/^ {2}(\S+)/gm)].map(([, name = ""]) => name);
    assert.ok(names.includes("audit") && names.includes("conformance"), all);
    for (const args of [[], ...names.map((name) => [name])]) {
      const { code, stdout } = await run([...args, "--help"]);
      assert.equal(code, 0);
      assert.match(stdout, /Examples:\n {2}\$ /, args.join());
    }
    assert.match((await run(["--version"])).stdout, /^\d+\.\d+\.\d+\n$/);
  });

  it("help shows the help of a command, or of all", async () => {
    assert.match((await run(["help", "upload"])).stdout, /^Usage: lb-cli upload /);
    const { code, stdout } = await run(["help"]);
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: lb-cli \[options\] \[command\]/);
  });

  it("says in one line that its output cannot be written", () => {
    if (!existsSync("/dev/full")) return cannotTest("an output that cannot be written: there is no /dev/full");
    const full = openSync("/dev/full", "w");
    try {
      const stdio = ["ignore" as const, full, "pipe" as const];
      const { status: code, stderr } = spawnSync(process.execPath, [launcher, "--help"], { stdio, encoding: "utf8" });
      assert.deepEqual([code, stderr], [1, "error: cannot write the output: the disk is full\n"]);
    } finally {
      closeSync(full);
    }
  });

  for (const json of [false, true]) {
    it(`Ctrl-C${json ? " with --json" : ""} stops, says what is stored and what may still be, and exits with 130`, async () => {
      balancer.behaviour.mute = true;
      balancer.behaviour.onFinish = () => ({ $case: "queued", value: {} });
      let interruptWhenSent: NodeJS.Timeout | undefined;
      const result = await run(["ftp", "--dir", ".", "-c", "12", ...(json ? ["--json"] : [])], {
        onStart: (pid) => {
          interruptWhenSent = setInterval(() => {
            if ([...balancer.uploads.values()].filter(({ finished }) => finished).length < 12) return;
            clearInterval(interruptWhenSent);
            process.kill(pid, "SIGINT");
          }, 10);
        },
      });
      clearInterval(interruptWhenSent);
      const { code, stderr } = result;
      assert.equal(code, 130, stderr);
      const named = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more; lb-cli status 1 tells";
      assert.ok(stderr.endsWith(`stopped: 0 of 12 files stored, 12 not; may still be stored: ${named}\n`), stderr);
      if (!json) return;
      const lines = jsonLines(result);
      assert.deepEqual(
        lines.map(({ requestNumber, uploadId, state }) => [requestNumber, uploadId, state]),
        [...balancer.uploads].map(([uploadId], index) => [index + 1, uploadId, "interrupted"]),
      );
      assert.ok(lines.every(({ name }) => typeof name === "string"));
    });
  }

  it("Ctrl-C ends at once also while the connection is lost", async () => {
    const away = await new FakeBalancer({ mute: true }).start();
    let interruptedAtMs: number | undefined;
    const { code, stderr } = await run(["upload", "a.json"], {
      env: { BILANCIA_BALANCER: away.address },
      onStderr: (pid, told) => {
        if (told.includes("sending 1 file") && !told.includes("connection")) stopWhenSent();
        if (!told.includes("connection to") || interruptedAtMs !== undefined) return;
        interruptedAtMs = performance.now();
        // After the pause before the next try.
        setTimeout(() => process.kill(pid, "SIGINT"), 300);
      },
    });
    assert.equal(code, 130, stderr);
    assert.match(
      stderr,
      /\nstopped: 0 of 1 file stored, 1 not; may still be stored: [-0-9a-f]+; lb-cli status \S+ tells\n$/,
    );
    const tookMs = performance.now() - (interruptedAtMs ?? 0);
    assert.ok(tookMs < 10_000, `${tookMs} ms`);

    function stopWhenSent(): void {
      if (away.uploads.size > 0) away.stop();
      else setTimeout(stopWhenSent, 10);
    }
  });

  it("without a command takes commands from its input, in any case, and asks again after bad ones", async () => {
    const stdin = "\nwhat\nFTP\nsome\n0\n2\nServers\nSTATUS\nstatus 1\nhelp\nEXIT\nftp 1\n";
    const { code, stdout, stderr } = await run(["--dir", "."], { stdin });
    assert.match(stdout, /^Documents in \.:\ndocument +size +kind\na\.json/);
    assert.match(stdout, /How many documents:\nHow many documents:\nHow many documents:\nrequest/);
    assert.match(stdout, /2 stored/);
    assert.match(stdout, /127\.0\.0\.1:50061/);
    assert.match(stdout, /version +9\.9\.9/);
    assert.match(stdout, /FTP \[COUNT\]/);
    assert.match(stderr, /unknown command 'what'; expected FTP/);
    assert.match(stderr, /got 'some'\n.*got '0'/);
    assert.equal(balancer.uploads.size, 2, "nothing after EXIT");
    // A script learns that one of its lines was wrong.
    assert.equal(code, 2);
  });

  it("the shell with --json leaves the output to programs: what is for people goes to the side", async () => {
    const result = await run(["--json", "shell", "--dir", "."], { stdin: "list\nhelp\nftp\n1\nstatus\n" });
    assert.equal(result.code, 0, result.stderr);
    const lines = jsonLines(result);
    assert.deepEqual([lines.length, lines[0]?.state, lines[1]?.version], [2, "stored", "9.9.9"]);
    assert.match(result.stderr, /^Documents in \.:.*Commands: FTP.*lb-cli:.*FTP \[COUNT\].*How many documents:/s);
  });

  it("the shell ends with its input", async () => {
    const { code } = await run(["--dir", "."], { stdin: "ftp 1" });
    assert.equal(code, 0);
    assert.equal(balancer.uploads.size, 1);
  });
});
