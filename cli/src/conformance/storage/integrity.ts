import { Holding, RefuseReason } from "@bilancia/proto/gen/storage";
import { status } from "@grpc/grpc-js";
import type { Check } from "../check.js";
import {
  contradictions,
  damagedFiles,
  type Mistake,
  tooLargePart,
  wrongDigests,
  wrongOffsets,
  wrongSizes,
} from "../mistakes.js";
import type { SaveFile } from "./save-file.js";
import type { StorageProbe } from "./storage-probe.js";

/** Bytes that are not what was said of them. */
export const integrityChecks: readonly Check<StorageProbe>[] = [
  {
    name: "integrity.crc32c",
    level: "required",
    rule: "A part whose CRC-32C (Castagnoli) differs from what came with it: the file is refused with CHECKSUM_MISMATCH.",
    run: (probe) => expectBad(probe, damagedFiles, RefuseReason.REFUSE_REASON_CHECKSUM_MISMATCH),
  },
  {
    name: "integrity.digest",
    level: "required",
    rule: "A file whose SHA-256 differs from what the header or finish says is refused with DIGEST_MISMATCH.",
    run: (probe) => expectBad(probe, wrongDigests, RefuseReason.REFUSE_REASON_DIGEST_MISMATCH),
  },
  {
    name: "integrity.size",
    level: "required",
    rule: "A file whose length differs from what the header or finish says, by one byte too, is refused with SIZE_MISMATCH.",
    run: (probe) => expectBad(probe, wrongSizes, RefuseReason.REFUSE_REASON_SIZE_MISMATCH),
  },
  {
    name: "integrity.contradiction",
    level: "required",
    rule: "A value given both in the header and in finish must be the same; otherwise the file is refused.",
    run: (probe) =>
      expectBad(
        probe,
        contradictions,
        RefuseReason.REFUSE_REASON_INVALID_HEADER,
        RefuseReason.REFUSE_REASON_DIGEST_MISMATCH,
        RefuseReason.REFUSE_REASON_SIZE_MISMATCH,
      ),
  },
  {
    name: "protocol.offset",
    level: "required",
    rule: "An offset that does not continue the file ends the stream with INVALID_ARGUMENT, and the file is dropped.",
    run: (probe) => expectEnd(probe, wrongOffsets),
  },
  {
    name: "protocol.no-header",
    level: "required",
    rule: "Data before any header ends the stream with INVALID_ARGUMENT.",
    async run(probe) {
      const session = probe.open();
      await session.send({ offset: 0, data: Buffer.from("no header") });
      await session.endsWith(status.INVALID_ARGUMENT);
    },
  },
  {
    name: "protocol.part-over-limit",
    level: "required",
    rule: "Data over 256 KiB in one part ends the stream with INVALID_ARGUMENT, and the file is dropped.",
    run: (probe) => expectEnd(probe, [tooLargePart]),
  },
];

/** Sends files that must be refused, leave nothing behind, and do not stand in the way of the good file. */
async function expectBad(probe: StorageProbe, mistakes: readonly Mistake[], ...reasons: RefuseReason[]): Promise<void> {
  for (const { sizeBytes, said, parts } of mistakes) {
    const file = probe.file(sizeBytes, said);
    const session = probe.open();
    await session.sendParts(parts(file), file.requestNumber);
    await session.refused(file.requestNumber, ...reasons);
    await session.close();
    await expectNothingHeld(probe, file);
  }
}

/** Sends files that must end the stream. */
async function expectEnd(probe: StorageProbe, mistakes: readonly Mistake[]): Promise<void> {
  for (const { sizeBytes, said, parts } of mistakes) {
    const file = probe.file(sizeBytes, said);
    const session = probe.open();
    await session.sendParts(parts(file), file.requestNumber);
    await session.endsWith(status.INVALID_ARGUMENT);
    await expectNothingHeld(probe, file);
  }
}

async function expectNothingHeld(probe: StorageProbe, file: SaveFile): Promise<void> {
  await probe.expectHolding(file, Holding.HOLDING_NONE);
  await probe.store(file.with({ attempt: 2, sizeBytes: undefined, sha256: undefined }));
}
