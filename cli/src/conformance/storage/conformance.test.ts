import assert from "node:assert/strict";
import { FakeStorage, fakeLimits } from "../../testing/fake-storage.js";
import { type StorageFault, storageFaults } from "../../testing/storage-faults.js";
import { type CheckReport, runChecks } from "../run-checks.js";
import { storageKit } from "./catalogue.js";

/** By which checks each fault is found. */
const foundBy: Readonly<Record<StorageFault, readonly string[]>> = {
  "acknowledges before the file is there": ["files.saved-is-there"],
  "knows no file again": ["identity.duplicate", "identity.same-stream-twice"],
  "takes another upload under a known number": ["identity.number-taken"],
  "keeps one origin's files for all": ["identity.origins"],
  "ignores crc32c": ["integrity.crc32c"],
  "ignores the announced digest": ["integrity.digest", "integrity.contradiction"],
  "ignores the announced length": ["integrity.size", "integrity.contradiction"],
  "tells the digest of the last message only": ["files.many-messages", "files.64-mib", "streams.at-once"],
  "tells a length that is one too large": [
    ...["files.empty", "files.one-byte", "files.one-message", "files.unannounced", "files.full-message"],
    ...["headers.descriptive", "stat.stored"],
  ],
  "shows a file that is arriving as stored": ["broken.no-partial-file"],
  "keeps the beginning of a file whose stream broke": [
    ...["broken.at-every-message", "broken.by-half-close", "broken.at-random-bytes", "broken.no-partial-file"],
    ...["broken.others-go-on", "restart.unfinished"],
  ],
  "answers for the wrong number": ["files.full-message", "streams.pipelined"],
  "answers twice": ["files.one-byte"],
  "takes names with path separators": ["names.hostile"],
  "ignores the term": ["fencing.term"],
  "ignores the attempt": ["fencing.attempt"],
  "forgets attempts that were refused": ["fencing.seen-not-stored"],
  "takes offsets that leave a gap": ["protocol.offset"],
  "ends the stream at a bad file": ["streams.survive-refusals"],
  "leaves the stream open when its sender has closed it": ["streams.half-close"],
  "says that it is always overloaded": ["load.idle"],
  "never says that it is overloaded": ["load.limit"],
  "tells another overload bit with its answers": ["load.bit-agrees", "load.limit"],
  "answers Load when nothing is in progress only": ["load.in-time"],
  "pushes nothing to those who watch": ["load.watch"],
  "refuses instead of saying busy": ["busy.limit"],
  "is never serving": ["health.serving", "health.watch"],
  "forgets everything at a restart": ["restart.acknowledged", "restart.fence", "restart.discarded"],
  "forgets fences at a restart": ["restart.fence"],
  "removes what Discard does not name": ["discard.guards"],
  "takes a late attempt after Discard": ["discard.fences"],
  "lists what it has not got": ["load.capabilities"],
  "counts characters in UTF-16": ["documents.counted"],
  "takes any document": ["documents.refused"],
  "takes any header": ["headers.invalid"],
  "takes whatever parts come": ["protocol.offset", "protocol.no-header", "protocol.part-over-limit"],
  "takes other bytes under a known upload": ["identity.duplicate-of-other-bytes"],
  "names files by their number only": ["files.stored-name", "identity.origins", "names.good"],
  "says of every number that a file is held": ["stat.unknown", "discard.removes"],
  "knows services that it has not got": ["health.unknown-service"],
  "keeps its instance id": ["restart.instance-id"],
};

describe("conformance of a storage server, on one in memory", () => {
  async function run(
    server: FakeStorage,
    names: readonly string[],
    timeoutMs: number,
    patienceMs: number,
  ): Promise<CheckReport[]> {
    const checks = storageKit.checks.filter(({ name }) => names.includes(name));
    const restart = () => server.restart();
    const options = { address: server.address, timeoutMs, patienceMs, seed: 1, restart, ...fakeLimits };
    const reports: CheckReport[] = [];
    for await (const report of runChecks(storageKit, checks, options)) reports.push(report);
    return reports;
  }

  it("passes one that keeps to the contract, in every check, and leaves nothing behind", async () => {
    const server = await FakeStorage.start();
    try {
      const reports = await run(
        server,
        storageKit.checks.map(({ name }) => name),
        10_000,
        10_000,
      );
      assert.deepEqual(
        reports.filter(({ result }) => result !== "holds").map(({ check, message }) => [check.name, message]),
        [],
      );
      assert.equal(reports.length, storageKit.checks.length);
      assert.equal(server.heldCount, 0);
    } finally {
      server.stop();
    }
  }).timeout(120_000);

  it("has a fault for every check", () => {
    const found = new Set(Object.values(foundBy).flat());
    assert.deepEqual(
      storageKit.checks.map(({ name }) => name).filter((name) => !found.has(name)),
      [],
    );
  });

  for (const fault of storageFaults) {
    it(`fails one that ${fault}`, async () => {
      const server = await FakeStorage.start(fault);
      try {
        const reports = await run(server, foundBy[fault], 2_000, 500);
        assert.deepEqual(
          reports.map(({ check, result }) => [check.name, result]).sort(),
          foundBy[fault].map((name) => [name, "fails"]).sort(),
        );
        for (const { message } of reports) assert.doesNotMatch(message, /could not go on/);
      } finally {
        server.stop();
      }
    });
  }
});
