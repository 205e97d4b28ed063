import { type Finish, Holding, RefuseReason, type SaveHeader } from "@bilancia/proto/gen/storage";
import { maxPartDataBytes } from "@bilancia/proto/limits";
import type { Part } from "@bilancia/proto/part-codec";
import { status } from "@grpc/grpc-js";
import { crc32c } from "@node-rs/crc32";
import type { Check } from "./check.js";
import { emptyFinish } from "./files.js";
import type { Probe } from "./probe.js";
import type { SampleFile } from "./sample-file.js";

/** Bytes that are not what was said of them. */
export const integrityChecks: readonly Check[] = [
  {
    name: "integrity.crc32c",
    level: "required",
    rule: "A part whose CRC-32C (Castagnoli) differs from what came with it: the file is refused with CHECKSUM_MISMATCH.",
    async run(probe) {
      const small = probe.file(700);
      await expectBad(probe, small, [{ ...small.whole(), crc32c: crc32c(small.data) ^ 1 }], checksum);
      const large = probe.file(700_000);
      const parts = large.parts();
      await expectBad(probe, large, parts.with(2, { ...part(parts, 2), crc32c: 0 }), checksum);
      const empty = probe.file(0);
      await expectBad(probe, empty, [{ ...empty.whole(), crc32c: 1 }], checksum);
    },
  },
  {
    name: "integrity.digest",
    level: "required",
    rule: "A file whose SHA-256 differs from what the header or finish says is refused with DIGEST_MISMATCH.",
    async run(probe) {
      const wrong = Buffer.alloc(32, 7);
      const inHeader = probe.file(700, { sha256: wrong });
      await expectBad(probe, inHeader, [{ ...inHeader.whole(), finish: emptyFinish }], digest);
      const inFinish = probe.file(700_000);
      await expectBad(probe, inFinish, withFinish(inFinish, { ...emptyFinish, sha256: wrong }), digest);
    },
  },
  {
    name: "integrity.size",
    level: "required",
    rule: "A file whose length differs from what the header or finish says, by one byte too, is refused with SIZE_MISMATCH.",
    async run(probe) {
      for (const wrong of [699n, 701n]) {
        const inHeader = probe.file(700, { sizeBytes: wrong });
        await expectBad(probe, inHeader, [{ ...inHeader.whole(), finish: emptyFinish }], size);
        const inFinish = probe.file(700);
        const end = { ...emptyFinish, sizeBytes: wrong };
        await expectBad(probe, inFinish, [{ ...inFinish.whole(), finish: end }], size);
      }
      const long = probe.file(700_000, { sizeBytes: 699_999n });
      await expectBad(probe, long, withFinish(long, emptyFinish), size);
    },
  },
  {
    name: "integrity.contradiction",
    level: "required",
    rule: "A value given both in the header and in finish must be the same; otherwise the file is refused.",
    async run(probe) {
      const reasons = [
        RefuseReason.REFUSE_REASON_INVALID_HEADER,
        RefuseReason.REFUSE_REASON_DIGEST_MISMATCH,
        RefuseReason.REFUSE_REASON_SIZE_MISMATCH,
      ];
      const sized = probe.file(700, { sizeBytes: 700n });
      const wrongSize = { ...emptyFinish, sizeBytes: 701n };
      await expectBad(probe, sized, [{ ...sized.whole(), finish: wrongSize }], ...reasons);
      const hashed = probe.file(700);
      const header = { ...hashed.header, sha256: Buffer.from(hashed.sha256, "hex") };
      const wrongDigest = { ...emptyFinish, sha256: Buffer.alloc(32, 1) };
      await expectBad(probe, hashed, [{ ...hashed.whole(), header, finish: wrongDigest }], ...reasons);
    },
  },
  {
    name: "protocol.offset",
    level: "required",
    rule: "An offset that does not continue the file ends the stream with INVALID_ARGUMENT, and the file is dropped.",
    async run(probe) {
      for (const offset of [99_999, 100_001, 0]) {
        const file = probe.file(200_000);
        const [first, , second, last] = file.parts(100_000);
        if (!first || !second || !last) continue;
        const data = file.data.subarray(0, 100_000);
        await expectEnd(probe, file, [first, { offset: 0, data }, { ...second, offset }, last]);
      }
      const file = probe.file(100);
      await expectEnd(probe, file, [{ ...file.whole(), offset: 1 }]);
    },
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
    async run(probe) {
      const file = probe.file(maxPartDataBytes + 1);
      await expectEnd(probe, file, [file.whole()]);
    },
  },
];

const checksum = RefuseReason.REFUSE_REASON_CHECKSUM_MISMATCH;
const digest = RefuseReason.REFUSE_REASON_DIGEST_MISMATCH;
const size = RefuseReason.REFUSE_REASON_SIZE_MISMATCH;

/** Sends parts that must be refused, leave nothing behind, and do not stand in the way of the good file. */
async function expectBad(
  probe: Probe,
  file: SampleFile,
  parts: readonly Part<SaveHeader>[],
  ...reasons: RefuseReason[]
): Promise<void> {
  const session = probe.open();
  await session.sendParts(parts, file.requestNumber);
  await session.refused(file.requestNumber, ...reasons);
  await session.close();
  await expectNothingHeld(probe, file);
}

/** Sends parts that must end the stream. */
async function expectEnd(probe: Probe, file: SampleFile, parts: readonly Part<SaveHeader>[]): Promise<void> {
  const session = probe.open();
  await session.sendParts(parts, file.requestNumber);
  await session.endsWith(status.INVALID_ARGUMENT);
  await expectNothingHeld(probe, file);
}

async function expectNothingHeld(probe: Probe, file: SampleFile): Promise<void> {
  await probe.expectHolding(file, Holding.HOLDING_NONE);
  await probe.store(file.with({ attempt: 2, sizeBytes: undefined, sha256: undefined }));
}

function withFinish(file: SampleFile, finish: Finish): Part<SaveHeader>[] {
  const parts = file.parts();
  return parts.with(-1, { ...part(parts, parts.length - 1), finish });
}

function part(parts: readonly Part<SaveHeader>[], at: number): Part<SaveHeader> {
  const found = parts[at];
  if (!found) throw new RangeError(`there is no part ${at}`);
  return found;
}
