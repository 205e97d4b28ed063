import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { reading } from "@bilancia/proto/lmdb/damaged-file";
import { headerIn, keyOf, nodeAt, nodeHeaderBytes, pageFlags, type Tree, treeAt } from "@bilancia/proto/lmdb/format";
import { open } from "lmdb";
import type { Occurrence } from "../domain/occurrence.js";
import { describeFile } from "../test-support/queue-fixtures.js";
import { openTestQueue } from "../test-support/test-queue.js";
import { withChecksum } from "./checked-bytes.js";
import type { LedgerEntry } from "./ledger-entry.js";
import { isWritten, ledgerTables } from "./ledger-rows.js";
import { LmdbLedger } from "./lmdb-ledger.js";
import { openLedger } from "./open-ledger.js";

const pageBytes = 4096;
const about = {
  ...{ client: "test", receivedAtMs: 1, touchedAtMs: 1, complete: true, receivedBytes: 9, intents: [] },
  ...{ attemptCount: 0, failures: 0, attempts: [] },
} as const;

const states: readonly Pick<LedgerEntry, "state" | "bytesAt" | "rejection">[] = [
  { state: "queued", bytesAt: "ledger" },
  { state: "stored", bytesAt: "nowhere" },
  { state: "dead", bytesAt: "ledger", rejection: { reason: "ATTEMPTS_EXHAUSTED", message: "no server took it" } },
];

/** Numbers with gaps, so that a wrong bit can leave them in their order. */
const uploads: readonly LedgerEntry[] = Array.from({ length: 60 }, (_, at) => ({
  ...about,
  ...(states[at % states.length] as (typeof states)[number]),
  requestNumber: BigInt(16 * (at + 1)),
  description: describeFile(),
}));

/** A row in the file: where it begins, and the parts that it has. */
interface PlacedRow {
  readonly at: number;
  readonly keyAt: number;
  readonly valueAt: number;
  readonly end: number;
}

/** The rows of a table as of the last commit, in their order. */
function rowsOf(data: Buffer, table: string): PlacedRow[] {
  const headers = [headerIn(data), headerIn(data.subarray(pageBytes))];
  const [first, second] = headers;
  assert.ok(first && second);
  const { main } = first.commit > second.commit ? first : second;
  const list = rowsBelow(data, main).find(({ keyAt, valueAt }) => `${data.subarray(keyAt, valueAt)}` === `${table}\0`);
  assert.ok(list, `there is no table ${table}`);
  return rowsBelow(data, treeAt(data, list.valueAt));
}

function rowsBelow(data: Buffer, { root }: Pick<Tree, "root">): PlacedRow[] {
  const page = data.subarray(root * pageBytes, (root + 1) * pageBytes);
  return Array.from({ length: page.readUInt16LE(20) / 2 }, (_, index) => {
    const node = nodeAt(page, index);
    if (page.readUInt16LE(18) === pageFlags.branch) return rowsBelow(data, { root: page.readUIntLE(node, 6) });
    const at = root * pageBytes + node;
    const keyAt = at + nodeHeaderBytes;
    const valueAt = keyAt + keyOf(page, index).length;
    return [{ at, keyAt, valueAt, end: valueAt + page.readUInt32LE(node) }];
  }).flat();
}

describe("a ledger", () => {
  let folder: string;
  let file: string;
  let intact: Buffer;
  let noted: Occurrence[];
  const observer = { note: (occurrence: Occurrence) => noted.push(occurrence) };

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-ledger-"));
    file = path.join(folder, "ledger", "data.mdb");
    noted = [];
    const ledger = await openLedger(folder, observer);
    const bytesOf = ({ bytesAt, requestNumber }: LedgerEntry) =>
      bytesAt === "ledger" ? Buffer.from(`bytes ${String(requestNumber).padStart(3)}`) : undefined;
    await Promise.all(uploads.map((entry) => ledger.put(entry, bytesOf(entry))));
    await ledger.close();
    intact = readFileSync(file);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** What a start finds, as texts. */
  async function found(): Promise<Record<"open" | "dead" | "byNumber" | "byId" | "bytes", string[]>> {
    const ledger = await openLedger(folder, observer);
    try {
      const open: string[] = [];
      for await (const page of ledger.open())
        for (const { requestNumber, state, bytes } of page) open.push(`${requestNumber} ${state} ${bytes}`);
      const each = (look: (entry: LedgerEntry) => unknown) => uploads.map((entry) => String(look(entry)));
      return {
        open,
        dead: ledger.deadLetters(0n, 1_000).map(({ requestNumber }) => String(requestNumber)),
        byNumber: each(({ requestNumber }) => ledger.find({ requestNumber })?.description.uploadId),
        byId: each(({ description: { uploadId } }) => ledger.find({ uploadId })?.requestNumber),
        bytes: each(({ requestNumber }) => Buffer.from(ledger.bytes(requestNumber) ?? [])),
      };
    } finally {
      await ledger.close();
    }
  }

  it("with a wrong bit is never taken for a sound one, whichever bit of a row it is", () => {
    const fd = openSync(file, "r+");
    try {
      const unnoticed: string[] = [];
      for (const table of ["entries", "ids", "open", "dead"]) {
        const rows = rowsOf(intact, table);
        for (const { at, end } of [0, 7, rows.length - 1].flatMap((index) => rows[index] ?? []))
          for (let place = at; place < Math.min(end, at + 60); place++)
            for (let bit = 0; bit < 8; bit++) {
              writeSync(fd, Buffer.of((intact[place] as number) ^ (1 << bit)), 0, 1, place);
              const problem = reading(file, { tables: ledgerTables }, (pages) => pages.check(isWritten));
              if (problem === undefined) unnoticed.push(`bit ${bit} of byte ${place - at} of a row of ${table}`);
              writeSync(fd, intact, place, 1, place);
            }
      }
      assert.deepEqual(unnoticed, []);
    } finally {
      closeSync(fd);
    }
  });

  const flip = (at: number, bit: number) => (data: Buffer) => data.writeUInt8(data.readUInt8(at) ^ (1 << bit), at);
  const harms: readonly [string, string, (row: PlacedRow) => (data: Buffer) => void][] = [
    ["open", "the number of a queued upload", ({ keyAt }) => flip(keyAt + 7, 1)],
    ["open", "the state of a queued upload", ({ valueAt }) => flip(valueAt, 1)],
    ["open", "the second number of a queued upload", ({ end }) => flip(end - 1, 3)],
    ["ids", "the id of an upload", ({ keyAt }) => flip(keyAt + 15, 0)],
    ["ids", "the number of an id", ({ valueAt }) => flip(valueAt + 7, 4)],
    ["dead", "the number of a dead letter", ({ keyAt }) => flip(keyAt + 7, 1)],
    ["entries", "the number of an entry, in the order of the others", ({ keyAt }) => flip(keyAt + 7, 1)],
    ["entries", "the number of an entry, out of order", ({ keyAt }) => flip(keyAt + 3, 1)],
  ];
  for (const [table, what, harm] of harms)
    for (const which of ["first", "last"] as const)
      it(`with a wrong bit in ${what}, the ${which} one of "${table}", is reported, and everything is found as before`, async () => {
        const before = await found();
        const data = readFileSync(file);
        const row = rowsOf(data, table).at(which === "first" ? 0 : -1);
        assert.ok(row);
        harm(row)(data);
        writeFileSync(file, data);
        assert.deepEqual(await found(), before);
        assert.deepEqual(
          noted.map((occurrence) => (occurrence.kind === "quarantined" ? occurrence.what : occurrence.kind)),
          ["ledger", "recovered"],
        );
        const [aside] = (await readdir(folder)).filter((name) => name.startsWith("ledger.damaged-"));
        assert.deepEqual(readFileSync(path.join(folder, String(aside), "data.mdb")), data, "it is kept as it was");
        noted = [];
        assert.deepEqual(await found(), before);
        assert.deepEqual(noted, []);
      });

  it("with a wrong bit in the number of an upload that was given up leaves its id to the later upload that has it now", async () => {
    const [given, later] = [uploads[2], uploads[3]] as [LedgerEntry, LedgerEntry];
    const ledger = await openLedger(folder, observer);
    ledger.freeId(given.description.uploadId);
    await ledger.put({ ...later, description: given.description }, Buffer.from("bytes"));
    await ledger.close();
    const data = readFileSync(file);
    const row = rowsOf(data, "entries")[2];
    assert.ok(row);
    flip(row.keyAt + 7, 1)(data);
    writeFileSync(file, data);
    const again = await openLedger(folder, observer);
    assert.equal(again.find({ uploadId: given.description.uploadId })?.requestNumber, later.requestNumber);
    assert.equal(again.find({ requestNumber: given.requestNumber })?.state, "dead");
    assert.equal(Buffer.from(again.bytes(later.requestNumber) ?? []).toString(), "bytes");
    await again.close();
  });

  it("with a wrong bit stays as it is where there is no room for another, and the start fails: the next one still sees it", async () => {
    // A path of the longest that the system takes, so that one with a longer name cannot be made.
    const longest = (process.platform === "linux" ? 4_096 : 1_024) - "/ledger/data.mdb".length - 2;
    let deep = folder;
    while (deep.length < longest)
      deep = path.join(deep, "d".repeat(Math.min(200, Math.max(1, longest - deep.length - 1))));
    await mkdir(path.join(deep, "ledger"), { recursive: true });
    const data = Buffer.from(intact);
    const [row] = rowsOf(data, "open");
    assert.ok(row);
    flip(row.keyAt + 7, 1)(data);
    const deepFile = path.join(deep, "ledger", "data.mdb");
    writeFileSync(deepFile, data);
    for (let start = 0; start < 2; start++)
      await assert.rejects(
        openLedger(deep, observer),
        /^Error: the ledger: table "open": .* it could not be replaced: /,
      );
    assert.deepEqual(readFileSync(deepFile), data);
  });

  it("of an earlier version, whose rows say everything once, is read as before", async () => {
    const before = await found();
    const raw = { encoding: "binary", keyEncoding: "binary" } as const;
    const root = open<Buffer, Buffer>({ path: path.join(folder, "ledger"), overlappingSync: false, ...raw });
    for (const name of ["entries", "ids", "open", "dead"]) {
      const table = root.openDB<Buffer, Buffer>({ name, ...raw });
      for (const { key, value } of [...table.getRange()].map((row) => ({
        key: row.key,
        value: Buffer.from(row.value),
      }))) {
        const content = name === "entries" ? value.subarray(0, -4) : value.subarray(0, (value.length - key.length) / 2);
        await table.put(key, name === "entries" ? withChecksum(content) : content);
      }
    }
    await root.close();
    assert.deepEqual(await found(), before);
    assert.equal(noted.length, 0);
    // Nor is one of its entries found under another number.
    const data = readFileSync(file);
    const last = rowsOf(data, "entries").at(-1);
    assert.ok(last);
    flip(last.keyAt, 7)(data);
    writeFileSync(file, data);
    assert.deepEqual(await found(), before);
    assert.equal(noted[0]?.kind, "quarantined");
  });

  it("tells its highest number by an entry that is whole", async () => {
    const data = Buffer.from(intact);
    const last = rowsOf(data, "entries").at(-1);
    assert.ok(last);
    flip(last.keyAt, 7)(data);
    writeFileSync(file, data);
    const ledger = new LmdbLedger(path.dirname(file), () => {});
    assert.equal(ledger.lastNumber, uploads.at(-2)?.requestNumber);
    await ledger.close();
  });

  it("with a wrong bit that nobody has looked for gives out an upload whose row is wrong by its entry", async () => {
    const data = Buffer.from(intact);
    const [row] = rowsOf(data, "open");
    assert.ok(row);
    flip(row.valueAt, 1)(data);
    writeFileSync(file, data);
    // It opens the ledger without looking at its file before.
    const opened = await openTestQueue(folder);
    try {
      const given: bigint[] = [];
      for (let delivery = opened.queue.take(); delivery; delivery = opened.queue.take())
        given.push(delivery.requestNumber);
      const queued = uploads.filter(({ state }) => state === "queued").map(({ requestNumber }) => requestNumber);
      assert.deepEqual(
        given.sort((a, b) => Number(a - b)),
        queued,
      );
    } finally {
      await opened.stop();
    }
  });
});
