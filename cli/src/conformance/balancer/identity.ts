import { Ack, RejectReason, type UploadHeader } from "@bilancia/proto/gen/balancer";
import { Kind } from "@bilancia/proto/gen/storage";
import type { Check } from "../check.js";
import { expectThat } from "../violation.js";
import { type BalancerProbe, expectSameReceipt } from "./balancer-probe.js";
import type { UploadSample } from "./upload-sample.js";

/** The same upload id always means the same file. */
export const identityChecks: readonly Check<BalancerProbe>[] = [
  {
    name: "identity.same-receipt",
    level: "required",
    rule: "An upload id that is stored already is answered with stored and the first receipt, and nothing is stored again.",
    async run(probe) {
      for (const size of [0, 700, 500_000]) {
        const file = probe.file(size);
        const receipt = await probe.store(file);
        expectSameReceipt(await probe.store(file), receipt);
        const session = probe.open();
        for (let again = 0; again < 2; again++) {
          await session.sendParts(file.parts(), file.uploadId);
          expectSameReceipt(await session.stored(file), receipt);
        }
        await session.close();
      }
    },
  },
  {
    name: "identity.told-at-once",
    level: "required",
    rule: "A client that waits after its header hears stored at once where the upload is stored already; whatever it sends of the file is skipped.",
    async run(probe) {
      const file = probe.file(500_000);
      const receipt = await probe.store(file);
      const session = probe.open();
      const [header, ...rest] = file.parts();
      if (header) await session.send(header);
      expectSameReceipt(await session.stored(file), receipt);
      for (const part of rest) await session.send(part);
      const next = probe.file(100);
      await session.send(next.whole());
      await session.stored(next);
      await session.close();
    },
  },
  {
    name: "identity.conflict",
    level: "required",
    rule: "An upload id that is known with another name, size, digest, kind or ack is rejected with UPLOAD_ID_CONFLICT, and the first upload stays as it is.",
    async run(probe) {
      const plain = probe.file(700);
      const stored = plain.with({ sizeBytes: 700n, sha256: Buffer.from(plain.sha256, "hex") });
      const receipt = await probe.store(stored);
      const unfinished = probe.file(300_000, { sizeBytes: 300_000n, sha256: Buffer.alloc(32, 1) });
      const session = probe.open();
      for (const part of unfinished.parts(100_000).slice(0, 2)) await session.send(part);
      await session.accepted(unfinished);
      const others: readonly Partial<UploadHeader>[] = [
        { name: "another.bin" },
        { sizeBytes: 701n },
        { sha256: Buffer.alloc(32, 7) },
        { kind: Kind.KIND_TEXT_DOCUMENT },
        { ack: Ack.ACK_QUEUED },
      ];
      for (const known of [stored, unfinished])
        for (const other of others) await expectConflict(probe, known.with(other));
      expectSameReceipt(await probe.store(stored), receipt);
      expectThat(session.answered(unfinished.uploadId) === undefined, "the unfinished upload has been answered");
      session.cancel();
    },
  },
  {
    name: "identity.superseded",
    level: "required",
    rule: "A newer connection that sends the same unfinished upload takes it over, and gets the receipt; on the older one the file is rejected with SUPERSEDED, and its other files go on.",
    async run(probe) {
      const file = probe.file(500_000);
      const [older, newer] = [probe.open(), probe.open(probe.connect())];
      const parts = file.parts(100_000);
      for (const part of parts.slice(0, 3)) await older.send(part);
      await older.accepted(file);
      for (const part of file.parts(100_000).slice(0, 1)) await newer.send(part);
      const offset = await newer.accepted(file);
      const { retryable } = await older.rejected(file, RejectReason.REJECT_REASON_SUPERSEDED);
      expectThat(retryable, "SUPERSEDED is not said to be retryable");
      const other = probe.file(5_000);
      for (const part of parts.slice(3)) await older.send(part);
      await older.send(other.whole());
      await older.stored(other);
      for (const part of file.parts(100_000, offset).slice(1)) await newer.send(part);
      await newer.stored(file);
      for (const session of [older, newer]) await session.close();
    },
  },
];

async function expectConflict(probe: BalancerProbe, file: UploadSample): Promise<void> {
  const session = probe.open();
  const [header] = file.parts();
  if (header) await session.send(header);
  await session.rejected(file, RejectReason.REJECT_REASON_UPLOAD_ID_CONFLICT);
  await session.close();
}
