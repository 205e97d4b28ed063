import assert from "node:assert/strict";
import { type BalancerFault, balancerFaults } from "../../testing/balancer-faults.js";
import { FaultyBalancer } from "../../testing/faulty-balancer.js";
import { faultyLimits } from "../../testing/faulty-rules.js";
import { type CheckReport, runChecks } from "../run-checks.js";
import { balancerKit } from "./catalogue.js";

/** By which checks each fault is found. */
const foundBy: Readonly<Record<BalancerFault, readonly string[]>> = {
  "is never serving": ["health.serving", "health.watch"],
  "knows services that it has not got": ["health.unknown-service"],
  "lists another service": ["reflection.lists"],
  "tells a length that is one too large": [
    ...["files.empty", "files.one-byte", "files.one-message", "files.unannounced", "files.full-message"],
  ],
  "tells the digest of the last message only": ["files.many-messages", "files.64-mib", "streams.at-once"],
  "chooses ids that are no UUIDs": ["files.without-id"],
  "names no server": ["files.receipt"],
  "tells another receipt when it is asked": ["files.receipt", "query.stored"],
  "takes half a message": ["files.full-message"],
  "answers twice": ["streams.pipelined", "streams.accepted"],
  "answers for the wrong file": ["files.full-message", "streams.pipelined"],
  "serves one stream at a time": ["streams.at-once"],
  "ends the stream at a bad file": ["streams.survive-rejections", "integrity.crc32c", "integrity.size"],
  "never says accepted": ["streams.accepted", "resume.at-every-message", "resume.at-random-bytes"],
  "forgets a file when the next one begins": ["streams.next-header"],
  "leaves the stream open when its sender has closed it": ["streams.half-close"],
  "says queued to everybody": ["acks.unspecified"],
  "says stored without queued": ["acks.queued"],
  "forgets queued files when their client leaves": ["acks.queued-goes-on", "acks.deadline"],
  "knows no upload again": ["identity.same-receipt", "identity.told-at-once"],
  "gives another receipt each time": ["identity.same-receipt"],
  "waits for the file before it says that it is stored": ["identity.told-at-once"],
  "takes another file under a known id": ["identity.conflict"],
  "takes bytes from two connections at once": ["identity.superseded"],
  "begins anew after a break": ["resume.goes-on"],
  "tells a resume offset that is too large": ["resume.at-every-message"],
  "forgets unfinished uploads": ["resume.half-close", "acks.deadline"],
  "keeps bytes that it has twice": ["resume.from-the-start"],
  "takes offsets that leave a gap": ["protocol.offset", "resume.gap"],
  "ignores crc32c": ["integrity.crc32c"],
  "ignores the announced digest": ["integrity.digest", "integrity.contradiction"],
  "ignores the announced length": ["integrity.size", "integrity.contradiction"],
  "takes whatever parts come": [
    "protocol.offset",
    "protocol.no-header",
    "protocol.part-over-limit",
    "protocol.parts-count",
  ],
  "takes bytes that are no message": ["protocol.no-message"],
  "takes messages of any length": ["protocol.message-over-limit"],
  "takes names with path separators": ["names.hostile"],
  "takes ASCII names only": ["names.good"],
  "takes any upload id": ["headers.upload-id"],
  "takes any header": ["headers.invalid"],
  "takes no labels": ["headers.descriptive"],
  "takes any priority": ["headers.priority"],
  "tells another priority": ["headers.priority"],
  "counts characters in UTF-16": ["documents.counted"],
  "takes any document": ["documents.refused"],
  "rejects without a word": ["rejections.explained", "names.hostile"],
  "calls everything retryable": ["rejections.explained"],
  "ends calls without a word": ["statuses.explained"],
  "knows uploads that nobody sent": ["query.unknown"],
  "takes malformed keys for unknown ones": ["query.malformed", "cancel.unknown"],
  "knows uploads by their ids only": ["query.stored"],
  "says that unfinished uploads are queued": ["query.receiving", "resume.half-close"],
  "cancels without telling the client": ["cancel.drops"],
  "cancels what is stored": ["cancel.stored"],
  "takes files of any length": ["limits.file"],
  "takes any number of files": ["limits.queue"],
  "tells nobody when to try again": ["limits.queue"],
  "forgets receipts at a restart": ["restart.stored"],
  "forgets queued files at a restart": ["restart.queued"],
  "takes no unfinished upload after a restart": ["restart.unfinished"],
  "counts from 1 again after a restart": ["restart.numbers"],
};

describe("conformance of a balancer, on one in memory", () => {
  async function run(
    balancer: FaultyBalancer,
    names: readonly string[],
    timeoutMs: number,
    patienceMs: number,
  ): Promise<CheckReport[]> {
    const checks = balancerKit.checks.filter(({ name }) => names.includes(name));
    const restart = () => balancer.restart();
    const options = { address: balancer.address, timeoutMs, patienceMs, seed: 1, restart, ...faultyLimits };
    const reports: CheckReport[] = [];
    for await (const report of runChecks(balancerKit, checks, options)) reports.push(report);
    return reports;
  }

  it("passes one that keeps to the contract, in every check, and leaves nothing behind that is not stored", async () => {
    const balancer = await FaultyBalancer.start();
    try {
      const names = balancerKit.checks.map(({ name }) => name);
      const reports = await run(balancer, names, 10_000, 10_000);
      assert.deepEqual(
        reports.filter(({ result }) => result !== "holds").map(({ check, message }) => [check.name, message]),
        [],
      );
      assert.equal(reports.length, names.length);
      assert.equal(balancer.waitingCount, 0);
    } finally {
      balancer.stop();
    }
  }).timeout(120_000);

  it("has a fault for every check", () => {
    const found = new Set(Object.values(foundBy).flat());
    assert.deepEqual(
      balancerKit.checks.map(({ name }) => name).filter((name) => !found.has(name)),
      [],
    );
  });

  for (const fault of balancerFaults) {
    it(`fails one that ${fault}`, async () => {
      const balancer = await FaultyBalancer.start(fault);
      try {
        const reports = await run(balancer, foundBy[fault], 1_000, 500);
        assert.deepEqual(
          reports.map(({ check, result }) => [check.name, result]).sort(),
          foundBy[fault].map((name) => [name, "fails"]).sort(),
        );
        for (const { message } of reports) assert.doesNotMatch(message, /could not go on/);
      } finally {
        balancer.stop();
      }
    });
  }
});
