import { Ack, RejectReason, UploadState } from "@bilancia/proto/gen/balancer";
import type { Check } from "../check.js";
import { contradictions, damagedFiles, type Mistake, wrongDigests, wrongSizes } from "../mistakes.js";
import { emptyFinish } from "../sample-file.js";
import { expectThat } from "../violation.js";
import type { BalancerProbe } from "./balancer-probe.js";
import { reasonName } from "./upload-file-session.js";

/** Bytes that are not what was said of them. The file is rejected, and what comes after it on the stream is stored. */
export const integrityChecks: readonly Check<BalancerProbe>[] = [
  {
    name: "integrity.crc32c",
    level: "required",
    rule: "A part whose CRC-32C (Castagnoli) differs from what came with it: the file is rejected with CHECKSUM_MISMATCH, and may be sent again with the same id.",
    async run(probe) {
      for (const mistake of damagedFiles) {
        const file = await expectBad(probe, mistake, RejectReason.REJECT_REASON_CHECKSUM_MISMATCH);
        await probe.store(file);
      }
    },
  },
  {
    name: "integrity.digest",
    level: "required",
    rule: "A file whose SHA-256 differs from what the header or finish says is rejected with DIGEST_MISMATCH, also where it was queued before.",
    async run(probe) {
      for (const mistake of wrongDigests) await expectDead(probe, mistake, RejectReason.REJECT_REASON_DIGEST_MISMATCH);
      const file = probe.file(700, { ack: Ack.ACK_QUEUED });
      const session = probe.open();
      await session.send(file.whole({ ...emptyFinish, sha256: Buffer.alloc(32, 7) }));
      await session.rejected(file, RejectReason.REJECT_REASON_DIGEST_MISMATCH);
      await session.close();
    },
  },
  {
    name: "integrity.size",
    level: "required",
    rule: "A file whose length differs from what the header or finish says, by one byte too, is rejected with SIZE_MISMATCH.",
    async run(probe) {
      for (const mistake of wrongSizes) await expectDead(probe, mistake, RejectReason.REJECT_REASON_SIZE_MISMATCH);
    },
  },
  {
    name: "integrity.contradiction",
    level: "required",
    rule: "A value given both in the header and in finish must be the same; otherwise the file is rejected.",
    async run(probe) {
      for (const mistake of contradictions)
        await expectDead(
          probe,
          mistake,
          RejectReason.REJECT_REASON_INVALID_HEADER,
          RejectReason.REJECT_REASON_DIGEST_MISMATCH,
          RejectReason.REJECT_REASON_SIZE_MISMATCH,
        );
    },
  },
];

/** Sends a file that must be rejected, and a good one after it on the same stream. */
async function expectBad(probe: BalancerProbe, { sizeBytes, said, parts }: Mistake, ...reasons: RejectReason[]) {
  const file = probe.file(sizeBytes, said);
  const good = probe.file(100);
  const session = probe.open();
  await session.sendParts(parts(file), file.uploadId);
  await session.send(good.whole());
  await session.rejected(file, ...reasons);
  await session.stored(good);
  await session.close();
  return file;
}

/** A file that must be rejected for good: `QueryUpload` knows why, and the same upload again is told the same. */
async function expectDead(probe: BalancerProbe, mistake: Mistake, ...reasons: RejectReason[]): Promise<void> {
  const file = await expectBad(probe, mistake, ...reasons);
  const { rejection } = await probe.expectState(file, UploadState.UPLOAD_STATE_DEAD);
  const reason = rejection?.reason ?? RejectReason.REJECT_REASON_UNSPECIFIED;
  const expected = reasons.map(reasonName).join(" or ");
  expectThat(reasons.includes(reason), `QueryUpload tells the reason ${reasonName(reason)}; expected ${expected}`);
  await probe.expectRejection(file, ...reasons);
}
