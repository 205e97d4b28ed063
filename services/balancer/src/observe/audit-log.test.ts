import assert from "node:assert/strict";
import { appendFile, readdir, readFile, rename, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { type AuditEntry, chainStart, maxAuditLineBytes, parseEntry } from "@bilancia/proto/audit-chain";
import { fullAuditFiles } from "@bilancia/proto/audit-files";
import { AuditVerifier } from "@bilancia/proto/audit-verifier";
import fc from "fast-check";
import type { Occurrence } from "../domain/occurrence.js";
import type { Observer } from "../ports/observer.js";
import { withTempFolder } from "../test-support/temp-folder.js";
import type { AuditSink } from "./audit-file.js";
import { AuditLog, type AuditRotation } from "./audit-log.js";

const clock = { nowMs: () => 1_800_000_000_000, random: () => 0 };
const upload = (requestNumber: number) => ({
  requestNumber: BigInt(requestNumber),
  uploadId: "0b8f1d9e-7a52-4c1e-9d5c-3f1f3f6a2b10",
  name: "a.json",
});
const received = (requestNumber: number): Occurrence => ({
  ...{ kind: "received", upload: upload(requestNumber), client: "127.0.0.1:9", resumedAtBytes: 0 },
});

class Faults implements Observer {
  readonly noted: Occurrence[] = [];
  note(occurrence: Occurrence): void {
    this.noted.push(occurrence);
  }
}

/** A disk in memory that can fail. */
class Disk implements AuditSink {
  readonly writes: string[] = [];
  flushes = 0;
  broken = false;
  async append(bytes: Buffer): Promise<void> {
    if (this.broken) throw new Error("no space");
    this.writes.push(bytes.toString());
  }
  get lengthBytes(): number {
    return this.writes.join("").length;
  }
  async flush(): Promise<void> {
    this.flushes += 1;
  }
  async rotate(): Promise<void> {
    assert.fail("nothing was said of rotation");
  }
  async close(): Promise<void> {}
}

/** The entries of a whole audit, in which nothing else is found, by line and kind. */
function entriesOf(text: string, expected: readonly string[] = []): AuditEntry[] {
  const verifier = new AuditVerifier();
  const lines = text.split("\n").slice(0, -1);
  const found = lines.flatMap((line) => verifier.check(Buffer.from(line)) ?? []);
  assert.deepEqual(
    found.map(({ line, kind }) => `${line} ${kind}`),
    expected,
  );
  return entriesIn(text);
}

function entriesIn(text: string): AuditEntry[] {
  const lines = text.split("\n");
  assert.equal(lines.pop(), "", "ends with a whole line");
  return lines.map((line) => {
    const parsed = parseEntry(Buffer.from(line));
    assert.ok(parsed.kind === "entry");
    return parsed.entry;
  });
}

async function run(
  file: string,
  numbers: readonly number[],
  faults = new Faults(),
  findings: readonly string[] = [],
): Promise<AuditEntry[]> {
  const audit = await AuditLog.open(file, clock, faults);
  for (const number of numbers) audit.note(received(number));
  await audit.close();
  return entriesOf(await readFile(file, "utf8"), findings);
}

const numbersOf = (entries: readonly AuditEntry[]) => entries.map(({ kind, requestNumber }) => requestNumber ?? kind);

describe("the audit's file", () => {
  it("has an entry for each occurrence, in order, and goes on with the chain after a restart", () =>
    withTempFolder(async (folder) => {
      const file = path.join(folder, "state", "audit.jsonl");
      assert.deepEqual(numbersOf(await run(file, [3, 1, 2])), ["3", "1", "2"]);
      const entries = await run(file, [4]);
      assert.deepEqual(numbersOf(entries), ["3", "1", "2", "4"]);
      assert.deepEqual(
        entries.map(({ seq }) => seq),
        [1, 2, 3, 4],
      );
      assert.deepEqual(await readdir(path.dirname(file)), ["audit.jsonl"]);
    }));

  it("goes on behind the last whole entry wherever a crash cut it, and keeps what was torn", () =>
    withTempFolder(async (folder) => {
      const whole = path.join(folder, "whole");
      await run(whole, [1, 2, 3]);
      const bytes = await readFile(whole);
      let turn = 0;
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: bytes.length - 1 }), async (length) => {
          const file = path.join(folder, `cut-${++turn}`);
          await writeFile(file, bytes.subarray(0, length));
          const kept = bytes.subarray(0, length).lastIndexOf(10) + 1;
          const torn = bytes.subarray(kept, length);
          const left = ["1", "2", "3"].slice(0, bytes.subarray(0, kept).toString().split("\n").length - 1);
          const entries = await run(file, [9]);
          assert.deepEqual(numbersOf(entries), [...left, ...(torn.length > 0 ? ["torn"] : []), "9"]);
          if (torn.length > 0) assert.deepEqual(await readFile(`${file}.torn-1`), torn);
        }),
        { numRuns: 25 },
      );
    }));

  it("puts aside what is no audit, and overwrites nothing that was put aside before", () =>
    withTempFolder(async (folder) => {
      const file = path.join(folder, "audit.jsonl");
      await writeFile(file, "something else\n");
      const faults = new Faults();
      const begunAnew = ["1 missing"];
      assert.deepEqual(numbersOf(await run(file, [1], faults, begunAnew)), ["begun-anew", "1"]);
      assert.equal(faults.noted[0]?.kind, "quarantined");
      await appendFile(file, Buffer.alloc(5_000));
      assert.deepEqual(numbersOf(await run(file, [2], faults, begunAnew)), ["begun-anew", "1", "torn", "2"]);
      assert.equal(await readFile(`${file}.torn-1`, "utf8"), "something else\n");
      assert.deepEqual(await readFile(`${file}.torn-2`), Buffer.alloc(5_000));
    }));

  it("leaves an altered last entry where it is, so that it is found", () =>
    withTempFolder(async (folder) => {
      const file = path.join(folder, "audit.jsonl");
      await run(file, [1, 2]);
      const text = await readFile(file, "utf8");
      await writeFile(file, text.replace('"requestNumber":"2"', '"requestNumber":"7"'));
      const audit = await AuditLog.open(file, clock, new Faults());
      audit.note(received(3));
      await audit.close();
      const verifier = new AuditVerifier();
      const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
      const findings = lines.map((line) => verifier.check(Buffer.from(line))?.kind);
      assert.deepEqual(findings, [undefined, "changed", undefined]);
    }));

  it("finds its last entry however much stands behind it, and puts all of that aside", () =>
    withTempFolder(async (folder) => {
      const file = path.join(folder, "audit.jsonl");
      for (const [turn, bytes] of [
        16 * maxAuditLineBytes - 1,
        17 * maxAuditLineBytes,
        2_100_000,
        4_000_000,
      ].entries()) {
        const before = await run(file, [1, 2]);
        const behind = Buffer.concat([Buffer.alloc(bytes, 7), Buffer.from("\n{}\n")]);
        await appendFile(file, behind);
        const entries = await run(file, [3]);
        assert.deepEqual(entries.slice(0, before.length), before);
        assert.deepEqual(numbersOf(entries.slice(before.length)), ["torn", "3"]);
        assert.ok(behind.equals(await readFile(`${file}.torn-${turn + 1}`)));
      }
    }));

  it("finds the end of a file that is longer than what it looks at", () =>
    withTempFolder(async (folder) => {
      const file = path.join(folder, "audit.jsonl");
      const many = Array.from({ length: 5_000 }, (_, index) => index + 1);
      await run(file, many);
      const { length } = await readFile(file);
      assert.ok(length > 1_100_000);
      await truncate(file, length - 10);
      const entries = await run(file, [6_000]);
      assert.deepEqual(numbersOf(entries).slice(-3), ["4999", "torn", "6000"]);
    }));
});

describe("the audit's files", () => {
  const dayMs = 86_400_000;
  const never = Number.POSITIVE_INFINITY;
  /** Notes one upload after another, each in a write of its own. */
  async function write(file: string, rotation: AuditRotation, times: readonly number[]): Promise<void> {
    let nowMs = 0;
    const audit = await AuditLog.open(file, { nowMs: () => nowMs, random: () => 0 }, new Faults(), rotation);
    for (const [index, timeMs] of times.entries()) {
      nowMs = timeMs;
      audit.note(received(index + 1));
      await audit.flush();
    }
    await audit.close();
  }
  const textOf = async (file: string) => {
    const files = [...(await fullAuditFiles(file)), file];
    return (await Promise.all(files.map((name) => readFile(name, "utf8")))).join("");
  };

  it("are begun anew when one is full, also over restarts, and hold one chain", () =>
    withTempFolder(async (folder) => {
      const file = path.join(folder, "audit.jsonl");
      const rotation = { maxFileBytes: 700, daily: false };
      for (const _ of [1, 2, 3]) await write(file, rotation, Array(20).fill(1));
      const full = await fullAuditFiles(file);
      assert.ok(full.length > 10);
      for (const name of full) {
        const last = entriesIn(await readFile(name, "utf8")).at(-1);
        assert.equal(name, `${file}.${last?.seq}`);
      }
      assert.equal(entriesOf(await textOf(file)).length, 60);
    }));

  it("are begun anew each day, and go on where a crash came between the renaming and the new file", () =>
    withTempFolder(async (folder) => {
      const file = path.join(folder, "audit.jsonl");
      const rotation = { maxFileBytes: never, daily: true };
      await write(file, rotation, [1, 2, dayMs - 1]);
      await write(file, rotation, [dayMs, dayMs + 5, 3 * dayMs]);
      assert.deepEqual(
        (await fullAuditFiles(file)).map((name) => path.basename(name)),
        ["audit.jsonl.3", "audit.jsonl.5"],
      );
      await rename(file, `${file}.6`);
      await write(file, rotation, [3 * dayMs]);
      assert.equal(entriesOf(await textOf(file)).length, 7);
      assert.equal((await readFile(file, "utf8")).trimEnd().split("\n").length, 1);
    }));

  it("go on in the old one when a new one cannot be begun, and overwrite nothing", () =>
    withTempFolder(async (folder) => {
      const file = path.join(folder, "audit.jsonl");
      await write(file, { maxFileBytes: never, daily: false }, [1, 1]);
      await writeFile(`${file}.2`, "somebody's");
      const faults = new Faults();
      const audit = await AuditLog.open(file, clock, faults, { maxFileBytes: 10, daily: false });
      audit.note(received(3));
      await audit.close();
      assert.equal(faults.noted[0]?.kind, "fault");
      assert.equal(await readFile(`${file}.2`, "utf8"), "somebody's");
      assert.equal(entriesOf(await readFile(file, "utf8")).length, 3);
    }));
});

describe("the audit's writing", () => {
  const open = (disk: Disk, faults: Observer, maxWaiting = 100) =>
    new AuditLog({ sink: disk, head: chainStart, clock, faults, maxWaiting });

  it("writes what happens at about the same time at once, and flushes", async () => {
    const disk = new Disk();
    const audit = open(disk, new Faults());
    for (let number = 1; number <= 10; number += 1) audit.note(received(number));
    assert.equal(disk.writes.length, 0);
    await audit.flush();
    assert.equal(disk.writes.length, 1);
    assert.equal(disk.flushes, 1);
    await audit.flush();
    assert.equal(disk.flushes, 1, "nothing new, nothing to flush");
    audit.note(received(11));
    await audit.close();
    assert.equal(entriesOf(disk.writes.join("")).length, 11);
    assert.equal(disk.flushes, 2);
  });

  it("tells once that the disk fails, goes on when it is back, and says how many entries are gone", async () => {
    const disk = new Disk();
    const faults = new Faults();
    const audit = open(disk, faults, 3);
    disk.broken = true;
    for (let number = 1; number <= 5; number += 1) audit.note(received(number));
    await audit.flush();
    await audit.flush();
    assert.deepEqual(
      faults.noted.map(({ kind }) => kind),
      ["fault"],
    );
    disk.broken = false;
    await audit.flush();
    audit.note(received(6));
    await audit.close();
    const entries = entriesOf(disk.writes.join(""));
    assert.deepEqual(numbersOf(entries), ["1", "2", "3", "lost", "6"]);
    assert.equal(entries[3]?.message, "2 entries");
    assert.equal(faults.noted.length, 1);
  });

  it("says at the end what could not be written", async () => {
    const disk = new Disk();
    const faults = new Faults();
    const audit = open(disk, faults);
    disk.broken = true;
    audit.note(received(1));
    await audit.close();
    const last = faults.noted.at(-1);
    assert.ok(last?.kind === "fault");
    assert.match(String(last.error), /1 entries could not be written/);
  });
});
