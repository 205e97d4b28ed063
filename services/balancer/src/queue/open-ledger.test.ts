import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Occurrence } from "../domain/occurrence.js";
import { describeFile } from "../test-support/queue-fixtures.js";
import type { LedgerEntry } from "./ledger-entry.js";
import { openLedger } from "./open-ledger.js";

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
});
