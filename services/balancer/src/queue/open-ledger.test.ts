import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { headerIn, keyOf, nodeAt, nodeHeaderBytes, type Tree, treeAt } from "@bilancia/proto/lmdb/format";
import type { Occurrence } from "../domain/occurrence.js";
import { describeFile } from "../test-support/queue-fixtures.js";
import { encodeEntry, type LedgerEntry } from "./ledger-entry.js";
import { openLedger } from "./open-ledger.js";

const pageBytes = 4096;

describe("opening the ledger", () => {
  let folder: string;
  let noted: Occurrence[];
  const observer = { note: (occurrence: Occurrence) => noted.push(occurrence) };
  const description = describeFile();
  const entry: LedgerEntry = {
    ...{ requestNumber: 7n, description, client: "test", receivedAtMs: 1, touchedAtMs: 1, state: "queued" },
    ...{ complete: true, receivedBytes: 3, bytesAt: "ledger", intents: [], attemptCount: 0, failures: 0, attempts: [] },
  };

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-ledger-"));
    noted = [];
    const ledger = await openLedger(folder, observer);
    await ledger.put(entry, Buffer.from("abc"));
    await ledger.close();
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("gives back what was put, the bytes too", async () => {
    const ledger = await openLedger(folder, observer);
    assert.equal(ledger.find({ uploadId: description.uploadId })?.requestNumber, 7n);
    assert.equal(String(ledger.bytes(7n)), "abc");
    assert.deepEqual(noted, []);
    await ledger.close();
  });

  it("gives back labels of any name, those too that look like a notation of the ledger's own", async () => {
    const labels = { $bigint: "abc", $bytes: "abc", team: "x" };
    const sha256 = new Uint8Array(32).fill(5);
    const ledger = await openLedger(folder, observer);
    const labelled = { ...entry, requestNumber: 8n, description: { ...describeFile({ labels }), sha256 } };
    await ledger.put(labelled);
    await ledger.close();
    const again = await openLedger(folder, observer);
    assert.deepEqual(again.find({ requestNumber: 8n })?.description, labelled.description);
    assert.deepEqual(noted, []);
    await again.close();
  });

  it("gives back how urgent an upload is, and takes one for normal that does not say, as older ones do not", async () => {
    const ledger = await openLedger(folder, observer);
    const urgency = ["low", "high", undefined] as const;
    for (const [at, priority] of urgency.entries())
      await ledger.put({ ...entry, requestNumber: BigInt(at + 8), description: describeFile({ priority }) });
    await ledger.close();
    const again = await openLedger(folder, observer);
    const open = [...again.openAfter(0n)];
    assert.deepEqual(
      open.map(({ requestNumber, priority, bytes }) => `${requestNumber} ${priority} ${bytes}`),
      ["7 undefined 3", "8 low 3", "9 high 3", "10 undefined 3"],
    );
    for (const { requestNumber, priority } of open)
      assert.equal(again.find({ requestNumber })?.description.priority, priority);
    await again.close();
  });

  it("is, for what is of normal priority, what it was before there were priorities", () => {
    const said = { ...entry, description: { ...description, priority: undefined } };
    const key = Buffer.from("key");
    assert.deepEqual(encodeEntry(said, key), encodeEntry(entry, key));
  });

  it("moves one that cannot be read aside as a whole, and begins a new one", async () => {
    await truncate(path.join(folder, "ledger", "data.mdb"), 10_000);
    const ledger = await openLedger(folder, observer);
    assert.equal(ledger.find({ requestNumber: 7n }), undefined);
    await ledger.put(entry);
    await ledger.close();
    assert.deepEqual(
      noted.map(({ kind }) => kind),
      ["quarantined"],
    );
    assert.ok((await readdir(folder)).some((name) => name.startsWith("ledger.damaged-")));
  });

  /** Fills the ledger with queued uploads, bytes and all, and gives back where its file is. */
  async function fill(count: number): Promise<string> {
    const ledger = await openLedger(folder, observer);
    const puts = Array.from({ length: count }, (_, at) => {
      const requestNumber = BigInt(100 + at);
      return ledger.put(
        { ...entry, requestNumber, description: describeFile() },
        Buffer.from(`bytes ${requestNumber}`),
      );
    });
    await Promise.all(puts);
    await ledger.close();
    return path.join(folder, "ledger", "data.mdb");
  }

  async function opened(): Promise<LedgerEntry[]> {
    const ledger = await openLedger(folder, observer);
    try {
      const found: LedgerEntry[] = [];
      for await (const page of ledger.open()) {
        for (const { requestNumber } of page) {
          const read = ledger.find({ requestNumber });
          assert.ok(read);
          assert.deepEqual(ledger.find({ uploadId: read.description.uploadId }), read);
          const bytes = requestNumber === 7n ? "abc" : `bytes ${requestNumber}`;
          assert.equal(Buffer.from(ledger.bytes(requestNumber) ?? []).toString(), bytes);
          found.push(read);
        }
      }
      return found;
    } finally {
      await ledger.close();
    }
  }

  it("takes over what can be read on both sides of the damage", async () => {
    const file = await fill(500);
    const data = await readFile(file);
    const mark = Buffer.from('"$bigint":"350"');
    for (let at = data.indexOf(mark); at >= 0; at = data.indexOf(mark, at + 1)) {
      const pageAt = at - (at % 4096);
      data.fill(0, pageAt, pageAt + 4096);
    }
    await writeFile(file, data);
    const found = new Set((await opened()).map(({ requestNumber }) => requestNumber));
    assert.ok(found.has(7n) && found.has(100n) && found.has(599n) && !found.has(350n));
    // As many as a page holds, and those beside them that share a page of another table.
    assert.ok(found.size > 450, `${found.size} of 501 were taken over`);
    const kinds = noted.map(({ kind }) => kind);
    assert.deepEqual(kinds, ["quarantined", "recovered"]);
    const [aside] = (await readdir(folder)).filter((name) => name.startsWith("ledger.damaged-"));
    assert.deepEqual(await readFile(path.join(folder, aside ?? "", "data.mdb")), data, "the damaged one is as it was");
    noted = [];
    assert.equal((await opened()).length, found.size, "the next start finds nothing wrong");
    assert.deepEqual(noted, []);
  });

  for (const [what, pageIn, expected] of [
    ["all but the last commit where the list of tables", ({ root }: Tree) => root, 501],
    ["all where a table's root", ({ root }: Tree, data: Buffer) => treeOf(data, root, "entries").root, 502],
  ] as const)
    it(`finds ${what} is damaged`, async () => {
      const file = await fill(500);
      const ledger = await openLedger(folder, observer);
      await ledger.put({ ...entry, requestNumber: 900n, description: describeFile() }, Buffer.from("bytes 900"));
      await ledger.close();
      const data = await readFile(file);
      const [first, second] = [headerIn(data), headerIn(data.subarray(pageBytes))];
      assert.ok(first && second);
      const page = pageIn((first.commit > second.commit ? first : second).main, data);
      data.fill(0, page * pageBytes, (page + 1) * pageBytes);
      await writeFile(file, data);
      assert.equal((await opened()).length, expected);
      assert.ok(noted.some((occurrence) => occurrence.kind === "quarantined" && occurrence.what === "ledger"));
    });

  /** The tree of a table, by the page that lists the tables. */
  function treeOf(data: Buffer, list: number, table: string): Tree {
    const page = data.subarray(list * pageBytes, (list + 1) * pageBytes);
    for (let index = 0; ; index++) {
      const key = keyOf(page, index);
      if (key.toString().startsWith(table)) return treeAt(page, nodeAt(page, index) + nodeHeaderBytes + key.length);
    }
  }

  it("goes on where a start was ended: between the two renames, or before them", async () => {
    await rename(path.join(folder, "ledger"), path.join(folder, "ledger-new"));
    assert.equal((await opened()).length, 1);
    const file = await fill(50);
    await mkdir(path.join(folder, "ledger-new"));
    await writeFile(path.join(folder, "ledger-new", "data.mdb"), "half a copy");
    await truncate(file, 40_000);
    for (const { requestNumber } of await opened()) assert.ok(requestNumber === 7n || requestNumber >= 100n);
    assert.ok(!(await readdir(folder)).includes("ledger-new"));
  });

  const losses: readonly [string, (data: Buffer) => number, string][] = [
    [
      "newer header",
      (data) => (data.readBigUInt64LE(152) > data.readBigUInt64LE(pageBytes + 152) ? 0 : 1),
      "ledger header",
    ],
    ["list of tables", (data) => Math.floor(data.lastIndexOf("quarantine\0") / pageBytes), "ledger"],
  ];
  for (const [what, pageOf, reported] of losses) {
    it(`does not open one silently whose ${what} is gone`, async () => {
      const file = path.join(folder, "ledger", "data.mdb");
      const data = await readFile(file);
      const page = pageOf(data);
      data.fill(0, page * pageBytes, (page + 1) * pageBytes);
      await writeFile(file, data);
      await (await openLedger(folder, observer)).close();
      assert.deepEqual(
        noted.map((occurrence) => occurrence.kind === "quarantined" && occurrence.what),
        [reported],
      );
    });
  }

  const flipIn = (at: number, bit: number) => (page: Buffer) => page.writeUInt8(page.readUInt8(at) ^ (1 << bit), at);
  const harms: readonly [string, (page: Buffer) => void][] = [
    ["a page of zeros", (page) => page.fill(0)],
    ["a wrong bit in what it begins with", flipIn(25, 2)],
    ["a wrong bit in how much memory to take", flipIn(46, 6)],
    ["a wrong bit in how long a page is", flipIn(49, 7)],
    ["a wrong bit that says that all is encrypted", flipIn(53, 5)],
  ];
  const eachHarm = ["first", "second"].flatMap((which, number) =>
    harms.map(([damage, harm]) => ({ which, number, damage, harm })),
  );
  for (const { which, number, damage, harm } of eachHarm)
    it(`goes by the other header where the ${which} one is damaged (${damage}), and keeps what was there`, async () => {
      const file = await fill(20);
      const bytes = await readFile(file);
      const page = bytes.subarray(number * pageBytes, (number + 1) * pageBytes);
      harm(page);
      const before = Buffer.from(page);
      await writeFile(file, bytes);
      // The last commit was recorded in one of the two: the last uploads, or none, are missing.
      assert.ok((await opened()).length >= 1);
      assert.deepEqual(
        noted.map((occurrence) => occurrence.kind === "quarantined" && occurrence.what),
        ["ledger header"],
      );
      const kept = (await readdir(path.dirname(file))).filter((name) => name.startsWith(`${which}-header.damaged-`));
      assert.equal(kept.length, 1);
      const keptBytes = await readFile(path.join(path.dirname(file), kept[0] ?? ""));
      assert.deepEqual(keptBytes, before.subarray(0, keptBytes.length));
      noted = [];
      const ledger = await openLedger(folder, observer);
      await ledger.put({ ...entry, requestNumber: 900n, description: describeFile() });
      await ledger.close();
      noted = [];
      await (await openLedger(folder, observer)).close();
      assert.deepEqual(noted, [], "the next commit has made it whole");
    });

  for (const [table, readCount] of [
    ["open", 21],
    // With the entries' own name nothing can be told from what is left: it stays aside.
    ["entries", 0],
  ] as const)
    it(`reports a table whose name is damaged (${table}), and starts with what can be read`, async () => {
      const file = await fill(20);
      const bytes = await readFile(file);
      const name = Buffer.from(`${table}\0`);
      // LMDB may have left the name in pages that are free by now.
      for (let at = bytes.indexOf(name); at >= 0; at = bytes.indexOf(name, at + 1)) bytes.writeUInt8(0x58, at);
      await writeFile(file, bytes);
      assert.equal((await opened()).length, readCount);
      assert.ok(noted.some((occurrence) => occurrence.kind === "quarantined" && occurrence.what === "ledger"));
    });
});
