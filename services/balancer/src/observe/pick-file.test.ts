import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { eventually } from "@bilancia/proto/testing/eventually";
import type { Occurrence } from "../domain/occurrence.js";
import { pickOf } from "../test-support/pick-of.js";
import { PickFile } from "./pick-file.js";

describe("the trace of choices", () => {
  let folder: string;
  let file: string;
  const faults: Occurrence[] = [];
  const observer = { note: (occurrence: Occurrence) => void faults.push(occurrence) };
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "bilancia-picks-"));
    file = path.join(folder, "traces", "picks.jsonl");
    faults.length = 0;
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const lines = async (name = file) =>
    (await readFile(name, "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  it("has each choice and each end, as a line, and goes on behind what is there", async () => {
    const first = await PickFile.open(file, 1_000_000, observer);
    first.picked(pickOf(1n));
    first.ended({ requestNumber: 1n, attempt: 1, outcome: "saved", sizeBytes: 7, atMs: 5 });
    await eventually(
      "the lines are written while the file is open",
      async () => (await readFile(file, "utf8")).split("\n").length === 3,
    );
    await first.close();
    const second = await PickFile.open(file, 1_000_000, observer);
    second.picked(pickOf(2n));
    await second.close();
    const [pick, end, next] = await lines();
    assert.deepEqual(end, { kind: "end", requestNumber: "1", attempt: 1, outcome: "saved", sizeBytes: 7, atMs: 5 });
    assert.equal(next?.requestNumber, "2");
    assert.equal(pick?.server, "s0");
    assert.deepEqual(
      (pick?.servers as { server: string; state: string }[] | undefined)?.map(
        ({ server, state }) => `${server} ${state}`,
      ),
      ["s0 available", "s1 available"],
    );
    assert.deepEqual(faults, []);
  });

  it("begins anew when it is full, and keeps the one before", async () => {
    const trace = await PickFile.open(file, 1, observer);
    for (let number = 1n; number <= 3n; number++) {
      trace.picked(pickOf(number));
      // For a moment, while the full one is put aside, there is no file.
      await eventually(`choice ${number} is written`, async () =>
        (await readFile(file, "utf8").catch(() => "")).includes(`"${number}"`),
      );
    }
    await trace.close();
    assert.deepEqual(
      [
        (await lines()).map(({ requestNumber }) => requestNumber),
        (await lines(`${file}.1`)).map(({ requestNumber }) => requestNumber),
      ],
      [["3"], ["2"]],
    );
  });

  it("tells of a disk that fails once, and of what is lost at the end", async () => {
    const trace = await PickFile.open("/dev/full", 1_000_000, observer);
    trace.picked(pickOf(1n));
    await eventually("the fault is noted", () => faults.length > 0);
    await trace.close();
    const told = faults.map((fault) => (fault.kind === "fault" ? `${fault.where}: ${fault.error}` : fault.kind));
    assert.match(told[0] ?? "", /^writing the trace of choices: .*ENOSPC/);
    assert.deepEqual(told.slice(1), ["closing the trace of choices: Error: 1 lines could not be written"]);
  });

  it("tells of lines that were lost while the disk was too slow, in the trace itself", async () => {
    const trace = await PickFile.open(file, 1_000_000_000, observer);
    for (let number = 1; number <= 50_003; number++)
      trace.ended({ requestNumber: 1n, attempt: number, outcome: "busy", sizeBytes: undefined, atMs: 0 });
    await trace.close();
    const all = await lines();
    assert.deepEqual(
      all.filter(({ kind }) => kind === "gap"),
      [{ kind: "gap", lines: 3 }],
    );
    assert.equal(all.length, 50_001);
  });
});
