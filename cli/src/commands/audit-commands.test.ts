import assert from "node:assert/strict";
import { readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type AuditFacts, chainStart, sealEntry } from "@bilancia/proto/audit-chain";
import { displayWidth } from "../output/table.js";
import { plainScreen } from "../testing/plain-screen.js";
import { type CliRun, runCli } from "../testing/run-cli.js";
import { tempFolder } from "../testing/temp-folder.js";
import { trace } from "./trace.js";

const timeMs = 1_800_000_000_000;
const uploadId = "0b8f1d9e-7a52-4c1e-9d5c-3f1f3f6a2b10";
const file = { requestNumber: "42", uploadId, name: "pear\u001b.json" };
const other = { requestNumber: "4", uploadId: uploadId.replace("0", "1"), name: '"requestNumber":"42"' };
const story: readonly AuditFacts[] = [
  { timeMs, kind: "received", ...file, client: "127.0.0.1:9999" },
  { timeMs: timeMs + 1, kind: "received", ...other, client: "127.0.0.1:9998" },
  { timeMs: timeMs + 2, kind: "queued", ...file, sizeBytes: 2048 },
  { timeMs: timeMs + 3, kind: "attempt", ...file, server: "storage-1", attempt: 1 },
  { timeMs: timeMs + 4, kind: "outcome", ...file, server: "storage-1", attempt: 1, message: "lost: gone" },
  { timeMs: timeMs + 5, kind: "attempt", ...file, server: "storage-2", attempt: 2 },
  { timeMs: timeMs + 6, kind: "stored", ...file, server: "storage-2", attempt: 2, sizeBytes: 2048, sha256: "ab" },
];

function sealed(all: readonly AuditFacts[]): string[] {
  let head = chainStart;
  return all.map((facts) => {
    const next = sealEntry(facts, head);
    head = next.head;
    return next.line;
  });
}

describe("lb-cli, with the audit", () => {
  let folder: Awaited<ReturnType<typeof tempFolder>>;
  beforeEach(async () => {
    folder = await tempFolder({ audit: `${sealed(story).join("\n")}\n` });
  });
  afterEach(() => folder.remove());

  const run = (...args: string[]): Promise<CliRun> => runCli([...args, "--audit", "audit"], { cwd: folder.path });
  const jsonLines = ({ stdout }: CliRun) =>
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  async function edit(change: (lines: string[]) => string[]): Promise<void> {
    const audit = join(folder.path, "audit");
    const lines = (await readFile(audit, "utf8")).trimEnd().split("\n");
    await writeFile(audit, `${change(lines).join("\n")}\n`);
  }

  it("trace tells the story of one file, in order", async () => {
    const { code, stdout, stderr } = await run("trace", "42");
    assert.equal(code, 0, stderr);
    const [title, head, ...rows] = stdout.trimEnd().split("\n");
    assert.equal(title, `request 42  pear�.json  ${uploadId}`);
    assert.match(head ?? "", /^time +what +server +attempt +message$/);
    assert.deepEqual(
      rows.map((row) => row.split(/ {2,}/).slice(1)),
      [
        ["received", "-", "-", "from 127.0.0.1:9999"],
        ["queued", "-", "-", "2.0 KiB"],
        ["attempt", "storage-1", "1"],
        ["outcome", "storage-1", "1", "lost: gone"],
        ["attempt", "storage-2", "2"],
        ["stored", "storage-2", "2", "2.0 KiB, sha256 ab"],
      ],
    );
    assert.match(rows[0] ?? "", /^2027-01-15T08:00:00\.000Z /);
  });

  it("trace --json gives the entries as they stand there; an upload id names the file as well", async () => {
    const lines = jsonLines(await run("trace", uploadId, "--json"));
    assert.deepEqual(
      lines.map(({ line, seq, intact }) => [line, seq, intact]),
      [1, 3, 4, 5, 6, 7].map((number) => [number, number, true]),
    );
    assert.equal(lines[0]?.name, file.name);
  });

  it("trace says so of an altered entry, and of a file that it does not know", async () => {
    await edit((lines) => lines.with(4, lines[4]?.replace("lost: gone", "busy") ?? ""));
    const altered = await run("trace", "42");
    assert.equal(altered.code, 0);
    assert.match(altered.stdout, /outcome \(altered\) +storage-1/);
    assert.match(altered.stderr, /line 5 of audit/);
    const unknown = await run("trace", "43");
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /no entry with the request number 43/);
  });

  it("audit verify ends with 0 where the chain holds, and tells its last entry", async () => {
    const { code, stdout } = await run("audit", "verify");
    assert.equal(code, 0);
    assert.match(stdout, /^audit: the chain holds; 7 lines read, last entry 7 [0-9a-f]{64}\n$/);
    const [summary] = jsonLines(await run("audit", "verify", "--json"));
    const lastHash = (JSON.parse(sealed(story)[6] ?? "") as { hash: string }).hash;
    assert.deepEqual(summary, { ok: true, files: 1, entries: 7, findings: 0, lastSeq: 7, lastHash });
  });

  const faults: readonly [string, (lines: string[]) => string[], string][] = [
    ["changed", (lines) => lines.with(6, lines[6]?.replace("storage-2", "storage-1") ?? ""), "line 7: changed:"],
    ["removed", (lines) => lines.toSpliced(2, 2), "line 3: missing: entries 3 to 4 are not before entry 5"],
    ["moved", (lines) => [...lines.slice(1, 3), ...lines.slice(0, 1), ...lines.slice(3)], "line 1: missing: entry 1"],
    ["replaced", (lines) => lines.with(3, "{}"), "line 4: unreadable:"],
    ["cut in the middle", (lines) => lines.with(3, lines[3]?.slice(0, 30) ?? ""), "line 4: unreadable:"],
  ];
  for (const [what, change, expected] of faults) {
    it(`audit verify ends with 1 where an entry was ${what}, and names the line`, async () => {
      await edit(change);
      const { code, stdout } = await run("audit", "verify");
      assert.equal(code, 1);
      assert.ok(stdout.startsWith(expected), stdout);
      const lines = jsonLines(await run("audit", "verify", "--json"));
      assert.equal(`line ${lines[0]?.line}: ${lines[0]?.kind}:`, expected.split(":").slice(0, 2).join(":").concat(":"));
      assert.equal(lines.at(-1)?.ok, false);
    });
  }

  describe("over several files", () => {
    beforeEach(async () => {
      const lines = sealed(story).map((line) => `${line}\n`);
      await writeFile(join(folder.path, "audit.3"), lines.slice(0, 3).join(""));
      await writeFile(join(folder.path, "audit.5"), lines.slice(3, 5).join(""));
      await writeFile(join(folder.path, "audit"), lines.slice(5).join(""));
      await writeFile(join(folder.path, "audit.torn-1"), "{");
    });

    it("trace tells the whole story, and audit verify follows the chain through all of them", async () => {
      const lines = jsonLines(await run("trace", "42", "--json"));
      assert.deepEqual(
        lines.map(({ file, line, seq }) => [file, line, seq]),
        [
          ["audit.3", 1, 1],
          ["audit.3", 3, 3],
          ["audit.5", 1, 4],
          ["audit.5", 2, 5],
          ["audit", 1, 6],
          ["audit", 2, 7],
        ],
      );
      const { code, stdout } = await run("audit", "verify");
      assert.equal(code, 0, stdout);
      assert.match(stdout, /^audit and 2 full files: the chain holds; 7 lines read, last entry 7 /);
    });

    it("audit verify names the file of a fault, and a file that is gone", async () => {
      const full = join(folder.path, "audit.5");
      const text = await readFile(full, "utf8");
      await writeFile(full, text.replace("storage-1", "storage-9"));
      const changed = await run("audit", "verify");
      assert.equal(changed.code, 1);
      assert.match(changed.stdout, /^audit[.]5, line 1: changed:/);
      await rm(full);
      assert.match(
        (await run("audit", "verify")).stdout,
        /^audit, line 1: missing: entries 4 to 5 are not before entry 6/,
      );
    });

    it("audit verify --partial begins with the oldest entry that is there", async () => {
      await rm(join(folder.path, "audit.3"));
      assert.equal((await run("audit", "verify")).code, 1);
      const { code, stdout } = await run("audit", "verify", "--partial");
      assert.equal(code, 0, stdout);
      assert.match(stdout, /the chain holds; 4 lines read, last entry 7 /);
      await rm(join(folder.path, "audit.5"));
      await rm(join(folder.path, "audit"));
      assert.equal((await run("audit", "verify", "--partial")).code, 2, "nothing is no audit");
    });
  });

  it("trace fits its table to a narrow terminal: what happened where, and the message, stay", async () => {
    for (const columns of [80, 60, 40]) {
      const screen = plainScreen(columns);
      const context = {
        screen,
        json: false,
        balancer: "",
        admin: "",
        tls: undefined,
        connectTimeoutMs: 0,
        retryForMs: 0,
      };
      assert.equal(await trace({ requestNumber: 42n }, join(folder.path, "audit"), context), 0);
      const [, ...table] = (screen.printed[0] ?? "").split("\n");
      assert.ok(Math.max(...table.map(displayWidth)) <= columns, table.join("\n"));
      assert.match(table[0] ?? "", /what +server .*message$/);
    }
  });

  it("ends with 2 where there is no such file, or no such command", async () => {
    for (const args of [
      ["trace", "42", "--audit", "nowhere"],
      ["audit", "verify", "--audit", "nowhere"],
    ]) {
      const { code, stderr } = await runCli(args, { cwd: folder.path });
      assert.equal(code, 2, stderr);
      assert.match(stderr, /nowhere: there is no such file/);
    }
    await symlink("loop", join(folder.path, "loop"));
    for (const command of [
      ["trace", "42"],
      ["audit", "verify"],
    ]) {
      const { code, stderr } = await runCli([...command, "--audit", "loop/audit"], { cwd: folder.path });
      assert.equal(code, 2, stderr);
      assert.match(stderr, /^error: the folder of loop\/audit cannot be read: too many symbolic links; expected/);
    }
    for (const args of [["audit"], ["trace"], ["trace", "x"]]) assert.equal((await runCli(args)).code, 2);
  });
});
